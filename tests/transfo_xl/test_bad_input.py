"""Checkpoints and texts that do not fit, as users meet them: through `hf_models.load` and the handle."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import CheckpointError, EngineError, ModelCache
from pytest_hfmodels.checkpoints.bundled_files import BUNDLED
from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from pathlib import Path

TINY = BUNDLED / "tiny-transfo-xl"


@pytest.fixture(params=["auto", "pytest-hfmodels"])
def cache(tmp_path: Path, request: pytest.FixtureRequest) -> ModelCache:
    """A cache over a copy of `tiny-transfo-xl` in `./model`, which tests damage; `auto` may run upstream's."""
    shutil.copytree(TINY, tmp_path / "model")
    return ModelCache(tmp_path, implementation=request.param)


def configure(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def refused(cache: ModelCache, **how: Any) -> str:
    with pytest.raises(HFModelsError) as raised:
        cache.load("./model", **how)
    return str(raised.value)


@pytest.mark.parametrize("word", ["<unk>", "<eos>"])
def test_a_vocabulary_that_lacks_a_word(cache: ModelCache, tmp_path: Path, word: str) -> None:
    file = tmp_path / "model" / "vocab.txt"
    file.write_text(file.read_text(encoding="utf-8").replace(f"{word}\n", f"{word[1:-1]}\n"), encoding="utf-8")

    message = refused(cache)

    assert f"vocab.txt of 1000 words lacks {word}" in message
    assert "Add" in message


def test_no_vocabulary(cache: ModelCache, tmp_path: Path) -> None:
    (tmp_path / "model" / "vocab.txt").unlink()

    assert "has no vocabulary: expected vocab.txt, vocab.json or vocab.pkl" in refused(cache)


@pytest.mark.parametrize("cutoffs", [[200, 5000], [500, 200]], ids=["beyond the vocabulary", "descending"])
def test_cutoffs_that_do_not_fit_the_vocabulary(cache: ModelCache, tmp_path: Path, cutoffs: list[int]) -> None:
    configure(tmp_path / "model", cutoffs=cutoffs)

    message = refused(cache)

    assert f"The cutoffs {cutoffs} do not fit a vocabulary of 1000 words" in message
    assert "Correct `cutoffs` or `vocab_size` in the checkpoint's config.json." in message


def test_weights_that_do_not_fit(cache: ModelCache, tmp_path: Path) -> None:
    configure(tmp_path / "model", d_inner=300)

    message = refused(cache)

    assert "pos_ff.CoreNet.0.weight (expected [300, 96], found [256, 96])" in message
    assert "pos_ff.CoreNet.3.weight (expected [96, 300], found [96, 256])" in message
    assert "layers.2.pos_ff" in message


def test_another_number_of_labels(cache: ModelCache) -> None:
    message = refused(cache, task="text-classification", num_labels=3)

    assert "score.weight (expected [3, 96], found [8, 96])" in message
    assert 'head="fixed"' in message


@pytest.mark.parametrize("cache", ["pytest-hfmodels"], indirect=True)  # the test calls the model itself
def test_mems_of_another_model(cache: ModelCache) -> None:
    model = cache.load("./model")
    words = model.loaded.tensor([[16, 42]])
    mems = [layer[:, :, :48] for layer in model.model(words).mems]

    with pytest.raises(CheckpointError, match=r"expected \[64, 1, 96\].* for layer 0, found \[64, 1, 48\]"):
        model.model(words, mems=mems)


def test_a_text_longer_than_the_memory(cache: ModelCache) -> None:
    from pytest_hfmodels.transfo_xl import segment_log_probabilities

    model = cache.load("./model")

    with pytest.raises(CheckpointError, match="text of 65 words is longer than the memory of 64"):
        segment_log_probabilities(model.model, model.loaded.tensor([[16] * 65]), 32)


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_text(cache: ModelCache, text: str) -> None:
    classifier = cache.load("./model", task="text-classification")
    model = cache.load("./model")

    with pytest.raises(EngineError, match="nothing to classify: no text, or one without tokens"):
        classifier.classify(text)
    with pytest.raises(EngineError, match="prompt"):
        model.generate(text, max_new_tokens=1)
