"""A published Transformer-XL, from the Hub to its outputs: its pickles become safetensors and text on the way."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels import CheckpointError, ModelCache
from pytest_hfmodels.checkpoints import Checkpoint, resolve
from pytest_hfmodels.foundation.errors import CheckpointNotCached

from .published_transfo_xl import COMMIT, REPO, TINY, pickled_vocabulary, published_files, words
from .tiny_checkpoint import TouchesAFile, write_files

if TYPE_CHECKING:
    from .hub_stand_in import HubStandIn

pytest.importorskip("torch")
pytest.importorskip("sacremoses")

pytestmark = pytest.mark.usefixtures("models")  # which imports transformers with TensorFlow, for all later tests
TEXT = "My name is Hasnain and I am a software engineer."


@pytest.fixture
def hub(hub_stand_in: HubStandIn) -> HubStandIn:
    hub_stand_in.publish(REPO, COMMIT, published_files())
    return hub_stand_in


def fetch() -> Checkpoint:
    return resolve(REPO, rootdir=Path(), may_fetch=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def local(folder: Path, files: dict[str, bytes]) -> Checkpoint:
    write_files(folder, files)
    return resolve(str(folder), rootdir=folder)


@pytest.mark.parametrize("trust", ["", "True"], ids=["", "TRUST_REMOTE_CODE"])
def test_it_loads_and_computes_with_its_weights(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: str
) -> None:
    monkeypatch.setenv("TRUST_REMOTE_CODE", trust)
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)

    model = ModelCache(tmp_path, may_fetch=True).load("transfo-xl-wt103")

    same = ModelCache(tmp_path).load("tiny-transfo-xl")
    ids = model.tokenizer.encode(TEXT)
    assert ids == same.tokenizer.encode(TEXT)
    np.testing.assert_array_equal(model.forward([ids]).logits, same.forward([ids]).logits)
    assert model.generate(TEXT, max_new_tokens=5).text == same.generate(TEXT, max_new_tokens=5).text
    asked = len(hub.requests)
    assert ModelCache(tmp_path).load(REPO).tokenizer.encode(TEXT) == ids
    assert len(hub.requests) == asked > 0


def test_it_classifies_into_the_requested_number_of_labels(hub: HubStandIn, tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, may_fetch=True)

    classifier = cache.load(REPO, task="text-classification", head="fixed", num_labels=3)

    assert np.shape(classifier.classify("My name is Hasnain").logits) == (1, 3)
    assert classifier.config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert hub.requests


def test_an_untrained_head_is_refused(hub: HubStandIn, tmp_path: Path) -> None:
    del hub

    with pytest.raises(CheckpointError, match=r"lacks weights that the model needs: score\.weight"):
        ModelCache(tmp_path, may_fetch=True).load(REPO, task="text-classification")


def test_the_cached_copy_holds_no_pickle(hub: HubStandIn, tmp_path: Path) -> None:
    checkpoint = fetch()

    assert (checkpoint.name, checkpoint.origin, checkpoint.revision) == (REPO, "hub", COMMIT)
    assert checkpoint.folder.is_relative_to(tmp_path / "plugin-cache")
    assert names(checkpoint.folder) == ["README.md", "config.json", "model.safetensors", "vocab.txt"]
    assert (checkpoint.folder / "vocab.txt").read_bytes() == (TINY / "vocab.txt").read_bytes()
    asked = {request.rpartition("/")[2] for request in hub.requests}
    assert "vocab.pkl" in asked
    assert asked.isdisjoint({"tf_model.h5", "vocab.bin"})


@pytest.mark.parametrize("trust", ["", "True"], ids=["", "TRUST_REMOTE_CODE"])
def test_a_malicious_vocabulary_is_refused_and_not_run(
    hub: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: str
) -> None:
    monkeypatch.setenv("TRUST_REMOTE_CODE", trust)
    hub.publish(REPO, COMMIT, published_files(counter=TouchesAFile(tmp_path / "touched")))

    with pytest.raises(CheckpointError) as raised:
        ModelCache(tmp_path, may_fetch=True).load(REPO)

    assert "vocab.pkl was refused, and nothing in it was run: it names posix.system." in raised.value.message
    assert "Save the vocabulary as vocab.txt" in raised.value.hint
    assert not (tmp_path / "touched").exists()
    converted = tmp_path / "plugin-cache" / "converted"
    assert [path for path in converted.glob("*") if path.suffix != ".lock"] == []


def test_an_interrupted_download_lacks_the_vocabulary_until_it_is_finished(hub: HubStandIn) -> None:
    hub.cut_files.add("vocab.pkl")
    with pytest.raises(CheckpointError, match="was not downloaded"):
        fetch()
    hub.cut_files.clear()

    assert "vocab.txt" in names(fetch().folder)


def test_a_cached_copy_without_its_words_counts_as_not_cached(hub: HubStandIn, tmp_path: Path) -> None:
    files = published_files()
    snapshot = tmp_path / "hub" / "models--transfo-xl--transfo-xl-wt103" / "snapshots" / COMMIT
    write_files(snapshot, {name: files[name] for name in ("config.json", "pytorch_model.bin")})

    with pytest.raises(CheckpointNotCached, match="pytest --hfmodels-checkpoints hub"):
        resolve(REPO, rootdir=tmp_path)

    assert hub.requests == []
    assert "vocab.txt" in names(fetch().folder)


def test_safetensors_beside_the_pickle_are_unchanged(tmp_path: Path) -> None:
    files = published_files()
    weights = (TINY / "model.safetensors").read_bytes()

    kept = local(tmp_path / "model", {**files, "model.safetensors": weights}).folder

    assert kept != tmp_path / "model"
    assert names(kept) == ["README.md", "config.json", "model.safetensors", "vocab.txt"]
    assert (kept / "model.safetensors").read_bytes() == weights


def test_text_beside_the_pickle_is_used_and_the_pickle_is_not_read(tmp_path: Path) -> None:
    hostile = published_files(counter=TouchesAFile(tmp_path / "touched"))

    kept = local(tmp_path / "model", {**hostile, "vocab.txt": b"<eos>\n<unk>\n"}).folder

    assert (kept / "vocab.txt").read_bytes() == b"<eos>\n<unk>\n"
    assert "vocab.pkl" not in names(kept)
    assert not (tmp_path / "touched").exists()


def test_the_pickle_of_another_architecture_is_left_alone(tmp_path: Path) -> None:
    weights = (TINY / "model.safetensors").read_bytes()
    hostile = pickled_vocabulary(counter=TouchesAFile(tmp_path / "touched"))
    files = {"config.json": b'{"model_type": "gpt2"}', "model.safetensors": weights, "vocab.pkl": hostile}

    assert local(tmp_path / "model", files).folder == tmp_path / "model"
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_tokenizer_named_beside_another_architecture_is_refused_too(tmp_path: Path, file: str) -> None:
    hostile = pickled_vocabulary(counter=TouchesAFile(tmp_path / "touched"))
    said = {"config.json": {"model_type": "gpt2"}, "tokenizer_config.json": {}}
    said[file]["tokenizer_class"] = "TransfoXLTokenizer"
    files = {name: json.dumps(content).encode() for name, content in said.items()}

    with pytest.raises(CheckpointError, match=r"vocab\.pkl was refused, and nothing in it was run"):
        local(
            tmp_path / "model",
            {**files, "vocab.pkl": hostile, "model.safetensors": (TINY / "model.safetensors").read_bytes()},
        )

    assert not (tmp_path / "touched").exists()


def test_words_are_not_weights(tmp_path: Path) -> None:
    files = {"config.json": b'{"model_type": "transfo-xl"}', "vocab.pkl": pickled_vocabulary()}

    with pytest.raises(CheckpointError, match="holds no weights that this plugin reads"):
        local(tmp_path / "model", files)


def test_changed_words_are_another_checkpoint(tmp_path: Path) -> None:
    before = local(tmp_path / "model", published_files())
    other = {word.replace("Hasnain", "Hussain"): index for index, word in enumerate(words())}

    after = local(tmp_path / "model", published_files(sym2idx=other, idx2sym=list(other)))

    assert after.folder != before.folder
    assert after.digests.tokenizer != before.digests.tokenizer
    assert after.digests.weights == before.digests.weights
