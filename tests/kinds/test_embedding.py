"""Embeddings: pooling, what sentence-transformers would say, images, and what of two records differs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.explain import explain
from pytest_hfmodels.foundation.errors import EngineError, HFModelsError, SnapshotError
from pytest_hfmodels.kinds.arrays import Array
from pytest_hfmodels.kinds.comparison import compare
from pytest_hfmodels.kinds.embedding.record import EmbeddingRecord
from pytest_hfmodels.kinds.tolerance import Tolerance
from pytest_hfmodels.models import ModelCache
from pytest_hfmodels.snapshots.format import files, load

from ..other_checkpoints import edit_json, save_model
from ..projects.sentence_encoder.make_model import write_modules

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel

MODEL = Path(__file__).parents[1] / "projects" / "sentence_encoder" / "model"
TEXTS = ["how do i reset my password ?", "what is your name ?", "the cat"]
TOLERANCE = Tolerance(1e-4)


def nothing(folder: Path) -> None:
    del folder


@pytest.fixture
def bert(models: ModelCache, tmp_path: Path) -> Callable[..., HFModel]:
    """Load the project's model from a copy of its folder, after an edit."""
    del models  # transformers is imported once a process: with TensorFlow, for the tests that need it

    def load_edited(edit: Callable[[Path], object] = nothing, **keywords: Any) -> HFModel:
        shutil.copytree(MODEL, tmp_path / "bert")
        edit(tmp_path / "bert")
        return ModelCache(tmp_path).load("./bert", engine="torch", **keywords)

    return load_edited


def plainly(folder: Path) -> None:
    (folder / "modules.json").unlink()


def states(model: HFModel, text: str) -> Any:
    ids = model.tokenizer(text, return_tensors="pt")["input_ids"]
    return model.model(ids).last_hidden_state[0].detach().numpy()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("pooling", "by_hand"),
    [
        ("mean", lambda own: own.mean(axis=0)),
        ("max", lambda own: own.max(axis=0)),
        ("cls", lambda own: own[0]),
        ("last", lambda own: own[-1]),
    ],
)
def test_padding_is_not_pooled(bert: Any, side: str, pooling: str, by_hand: Any) -> None:
    model = bert(lambda folder: edit_json(folder / "tokenizer_config.json", padding_side=side))

    record = model.embed(TEXTS, pooling=pooling)

    if side == "right" or pooling != "cls":  # BERT's positions count padding on the left
        wanted = np.stack([by_hand(states(model, text)) for text in TEXTS])
        rows = range(3) if side == "right" else [0]  # the longest text has no padding
        assert np.allclose(record.vectors[rows], wanted[rows], atol=1e-5)
    assert record.effective["pooling"] == pooling
    assert record.effective["padding_side"] == side


def test_without_sentence_transformers_files_it_is_the_mean(bert: Any) -> None:
    model = bert(plainly)

    record = model.embed(TEXTS[0])

    assert np.allclose(record.vectors[0], states(model, TEXTS[0]).mean(axis=0), atol=1e-5)
    assert (record.effective["pooling"], record.effective["normalize"]) == ("mean", False)
    assert record.cosines == ()


@pytest.mark.parametrize("mode", ["mean_tokens", "cls_token", "max_tokens", "lasttoken"])
def test_it_is_what_sentence_transformers_say(bert: Any, tmp_path: Path, mode: str) -> None:
    reason = "pip install sentence-transformers"
    transformer = pytest.importorskip("sentence_transformers", reason=reason).SentenceTransformer
    long = " ".join(["cat"] * 30)  # cut to 16 tokens
    model = bert(lambda folder: write_modules(folder, mode=mode))

    record = model.embed([*TEXTS, long])

    whole = transformer(str(tmp_path / "bert"), device="cpu")
    theirs = whole.encode([*TEXTS, long])
    assert np.allclose(record.vectors, theirs, atol=1e-5)
    adopted = ModelCache(tmp_path).adopt(whole, name="search").embed([*TEXTS, long])
    assert np.allclose(adopted.vectors, theirs, atol=1e-5)
    assert adopted.effective == record.effective
    assert len(record.inputs[-1].ids) == 16
    assert record.inputs[-1].text == long


PROJECTS = Path(__file__).parents[1] / "projects"
SOUND = (np.sin(np.arange(800) / 9) * np.linspace(0.2, 1, 800)).astype(np.float32)


def test_a_sound_has_a_vector(models: ModelCache) -> None:
    hearing = models.load(PROJECTS / "speech" / "model")

    record = hearing.embed([SOUND, SOUND[::-1].copy()], sampling_rate=16000)

    assert record.inputs[0].text.startswith("audio 800 float32 sha256:")
    assert [one.name for one in record.processed] == ["input_values"]
    own = hearing.loaded.observe({"input_values": hearing.processor(SOUND, sampling_rate=16000)["input_values"]})
    assert np.allclose(record.vectors[0], own.hidden_states[-1][0].mean(axis=0), atol=1e-5)
    with pytest.raises(HFModelsError, match="A sound has 8000 samples a second; the model takes 16000"):
        hearing.embed(SOUND, sampling_rate=8000)


@pytest.mark.parametrize(
    ("name", "given"), [("transcription", SOUND), ("encoder_decoder", ["the cat", "my small house is red"])]
)
def test_an_encoder_decoder_gives_the_states_of_its_encoder(models: ModelCache, name: str, given: Any) -> None:
    model = models.load(PROJECTS / name / "model")
    rate: dict[str, Any] = {"sampling_rate": 16000} if name == "transcription" else {}

    record = model.embed(given, **rate)

    first = given[0] if isinstance(given, list) else given
    made = model.processor(first, return_tensors="pt", **rate)
    states = model.model.get_encoder()(made.get("input_features", made.get("input_ids"))).last_hidden_state
    assert np.allclose(record.vectors[0], states[0].mean(dim=0).detach().numpy(), atol=1e-5)
    moved = replace(record, arrays={"vectors": Array.of(record.vectors + 0.1, "vectors")})
    found = explain(compare(moved, record, TOLERANCE), moved, record, test="test")
    assert "failed" not in found.sentence


def test_dense_layers_are_computed_and_recorded(bert: Any, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    weight = np.random.default_rng(0).normal(size=(4, 16)).astype(np.float32)

    def dense(folder: Path) -> None:
        (folder / "2_Dense").mkdir()
        (folder / "2_Dense" / "config.json").write_text('{"activation_function": "torch.nn.modules.activation.Tanh"}')
        save_file(
            {"linear.weight": weight, "linear.bias": weight[:, 0].copy()}, folder / "2_Dense" / "model.safetensors"
        )
        modules = json.loads((folder / "modules.json").read_text())
        modules[2] |= {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
        (folder / "modules.json").write_text(json.dumps(modules))

    model = bert(dense)
    record = model.embed(TEXTS)

    pooled = np.stack([states(model, text).mean(axis=0) for text in TEXTS])
    assert np.allclose(record.vectors, np.tanh(pooled @ weight.T + weight[:, 0]), atol=1e-5)
    assert str(record.effective["dense"]).startswith("sha256:")
    weight[0, 0] += 1
    save_file(
        {"linear.weight": weight, "linear.bias": weight[:, 0].copy()}, tmp_path / "bert/2_Dense/model.safetensors"
    )
    now = model.embed(TEXTS)
    found = compare(record, now, TOLERANCE)
    assert (found.differences[0].stage, found.differences[0].what) == ("settings", "dense")
    assert explain(found, record, now, test="test").cause == "settings"


def through_files(record: EmbeddingRecord) -> EmbeddingRecord:
    written = files(record)
    found = load(written.text, Path("a.toml"), written.arrays)
    assert isinstance(found, EmbeddingRecord)
    return found


def moved(record: EmbeddingRecord, change: Callable[[Any], Any]) -> EmbeddingRecord:
    vectors = Array.of(change(record.vectors.copy()), "vectors")
    return replace(record, arrays={"vectors": vectors})


def nudge(vectors: Any, by: float) -> Any:
    vectors[1, 2] += by
    return vectors


def test_vectors_are_compared_by_cosine_and_by_element(bert: Any) -> None:
    model = bert()
    record = model.embed(TEXTS)
    recorded = through_files(record)

    assert str(compare(recorded, record, TOLERANCE).verdict) == "same"
    assert str(compare(recorded, moved(record, lambda own: nudge(own, 5e-5)), TOLERANCE).verdict) == "same"
    by_element = compare(recorded, moved(record, lambda own: nudge(own, 5e-3)), TOLERANCE)
    by_cosine = compare(recorded, moved(record, lambda own: nudge(own, 0.5)), TOLERANCE)
    longer = compare(recorded, moved(record, lambda own: 1.01 * own), TOLERANCE)

    assert [one.what for one in by_element.differences] == ["vectors[1, 2]"]
    assert by_cosine.differences[0].what == "cosine of vector 2 with the recorded one"
    assert [one.what for one in longer.differences] == ["vectors[0, 0]"]


def test_cosines_of_known_pairs(bert: Any) -> None:
    record = bert().embed(["the cat", "the cat", "my password"])

    assert record.cosines[0] == pytest.approx(1)
    rows: list[Any] = [3, -4, "a", 0.5, None]
    for row in rows:
        with pytest.raises(EngineError, match=r"There is no row .*: the record has 3\."):
            record.cosine(0, row)
    assert record.cosines == pytest.approx((record.cosine(0, 1), record.cosine(0, 2), record.cosine(1, 2)))


@pytest.mark.parametrize(
    ("again", "stage", "cause"),
    [
        (lambda model: model.embed([*TEXTS[:2], "the dog"]), "prompt", "test"),
        (lambda model: model.embed(TEXTS[:2]), "prompt", "test"),
        (lambda model: model.embed(TEXTS, pooling="cls"), "settings", "test"),
        (lambda model: model.embed(TEXTS, normalize=False), "settings", "test"),
    ],
)
def test_what_the_test_changes_is_its_own_doing(bert: Any, again: Any, stage: str, cause: str) -> None:
    model = bert()
    recorded, observed = through_files(model.embed(TEXTS)), again(model)

    found = compare(recorded, observed, TOLERANCE)

    assert found.differences[0].stage == stage
    assert explain(found, recorded, observed, test="test").cause == cause


def test_a_changed_model_and_changed_weights_are_named(bert: Any, tmp_path: Path) -> None:
    import torch

    model = bert()
    recorded = through_files(model.embed(TEXTS))
    with torch.no_grad():
        model.model.encoder.layer[1].output.dense.weight[0] += 1
    observed = model.embed(TEXTS)

    found = explain(compare(recorded, observed, TOLERANCE), recorded, observed, test="test")

    assert found.cause == "test"
    model.model.save_pretrained(tmp_path / "bert", safe_serialization=True)
    other = ModelCache(tmp_path).load("./bert", engine="torch")
    observed = other.embed(TEXTS)
    found = explain(compare(recorded, observed, TOLERANCE), recorded, observed, test="test")
    assert found.cause == "checkpoint:weights"


_IMAGES: dict[str, dict[str, Any]] = {
    "ViTModel": {"image_size": 16, "patch_size": 8},
    "ResNetModel": {"hidden_sizes": [4, 8], "depths": [1, 1], "embedding_size": 4},
}


def image(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["ViTModel", "CLIPModel", "ResNetModel"])
def test_images_have_vectors(models: ModelCache, tmp_path: Path, kind: str) -> None:
    del models
    pytest.importorskip("PIL", reason="pip install pillow")
    folder = save_model(tmp_path / "model", kind, **_IMAGES.get(kind, {}))
    for words in [] if kind == "CLIPModel" else [*folder.glob("*token*"), *folder.glob("vocab*")]:
        words.unlink()
    edit_json(
        folder / "preprocessor_config.json",
        image_processor_type="CLIPImageProcessor" if kind == "CLIPModel" else "ViTImageProcessor",
        size={"height": 16, "width": 16} if kind != "CLIPModel" else {"shortest_edge": 16},
        do_center_crop=False,
    )
    model = ModelCache(tmp_path).load("./model", task="feature-extraction", engine="torch")

    record = model.embed([image(0), image(1)])

    assert record.vectors.shape[0] == 2
    assert record.inputs[0].text.startswith("image 16 x 16 x 3 uint8 sha256:")
    assert record.effective["pooling"] == "pooler"
    assert -1 <= record.cosines[0] < 1 - 1e-6
    assert np.allclose(model.embed(image(1)).vectors[0], record.vectors[1], atol=1e-5)
    assert str(compare(through_files(record), record, TOLERANCE).verdict) == "same"
    if kind == "CLIPModel":
        import torch

        pixels = model.processor.image_processor([image(0)], return_tensors="pt")
        with torch.no_grad():
            theirs = model.model.get_image_features(**pixels)
        theirs = getattr(theirs, "pooler_output", theirs)[0].numpy()
        assert np.allclose(record.vectors[0], theirs / np.linalg.norm(theirs), atol=1e-5)


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_a_text_has_the_vector_of_the_part_that_reads_texts(models: ModelCache, tmp_path: Path, pooling: str) -> None:
    import torch

    del models
    save_model(tmp_path / "model", "CLIPModel")
    model = ModelCache(tmp_path).load("./model", task="feature-extraction", engine="torch")

    (vector,) = model.embed("Hello", pooling=pooling).vectors

    ids = torch.tensor([model.tokenizer("Hello")["input_ids"]])
    with torch.no_grad():
        states = model.model.text_model(ids).last_hidden_state
        features = model.model.get_text_features(ids)
    features = getattr(features, "pooler_output", features)
    theirs = states.mean(1) if pooling == "mean" else features / features.norm()
    assert np.allclose(vector, theirs[0].numpy(), atol=1e-5)


CLAP_SOUND = {"num_mel_bins": 8, "spec_size": 32, "window_size": 4, "patch_embeds_hidden_size": 8, "depths": [2, 1]}
CLAP_SOUND |= {"num_attention_heads": [2, 2], "hidden_size": 16, "projection_dim": 8}
CLAP_TEXT = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
CLAP_TEXT |= {"intermediate_size": 24, "max_position_embeddings": 64, "projection_dim": 8}


@pytest.mark.parametrize("fusion", [False, True])
def test_texts_and_sounds_of_one_model_have_vectors_of_their_own_part(
    models: ModelCache, tmp_path: Path, fusion: bool
) -> None:
    import torch
    from transformers import ClapFeatureExtractor

    del models
    parts = {"text_config": CLAP_TEXT, "audio_config": {**CLAP_SOUND, "enable_fusion": fusion}, "projection_dim": 8}
    folder = save_model(tmp_path / "model", "ClapModel", **parts)
    cut = "fusion" if fusion else "rand_trunc"
    ClapFeatureExtractor(feature_size=8, sampling_rate=16000, max_length_s=1, truncation=cut).save_pretrained(folder)
    edit_json(folder / "config.json", vocab_size=300)
    edit_json(folder / "tokenizer_config.json", pad_token="<|endoftext|>")
    model = ModelCache(tmp_path).load("./model", task="feature-extraction", engine="torch")
    sound = np.sin(np.arange(4000) / 9).astype(np.float32)

    text = model.embed("Hello", pooling="pooler").vectors[0]
    heard = model.embed(sound, sampling_rate=16000)

    ids = torch.tensor([model.tokenizer("Hello")["input_ids"]])
    inputs = model.processor.feature_extractor([sound], sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        found = [model.model.get_text_features(ids), model.model.get_audio_features(**inputs)]
    theirs = [getattr(features, "pooler_output", features)[0].numpy() for features in found]
    assert heard.effective["pooling"] == "pooler"
    assert np.allclose(text, theirs[0] / np.linalg.norm(theirs[0]), atol=1e-5)
    assert np.allclose(heard.vectors[0], theirs[1] / np.linalg.norm(theirs[1]), atol=1e-5)


def pooling_config(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit_json(folder / "1_Pooling" / "config.json", **fields)


def module(**fields: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        modules = json.loads((folder / "modules.json").read_text())
        modules[1] |= fields
        (folder / "modules.json").write_text(json.dumps(modules))

    return edit


@pytest.mark.parametrize(
    ("edit", "given", "keywords", "said"),
    [
        (nothing, TEXTS, {"pooling": "median"}, "Unknown pooling 'median'"),
        (nothing, [], {}, "There is nothing to embed"),
        (nothing, [""], {}, "There is nothing to embed|holds no text"),
        (nothing, ["text", 3], {}, "What is embedded"),
        (nothing, None, {}, "What is embedded"),
        (nothing, np.zeros((4, 4, 3)), {}, "The checkpoint has no image processor"),
        (plainly, "cat " * 40, {}, "A text has 40 tokens, but the model has 32 positions"),
        (module(type="sentence_transformers.models.WordWeights"), "cat", {}, "asks for the module 'WordWeights'"),
        (module(path="../outside"), "cat", {}, "names '../outside', which is not a folder beside it"),
        (pooling_config(pooling_mode_cls_token=True), "cat", {}, "asks for the pooling mean_tokens, cls_token"),
        (pooling_config(pooling_mode_mean_tokens=None, pooling_mode="weightedmean"), "cat", {}, "weightedmean, which"),
        (lambda folder: (folder / "1_Pooling/config.json").write_text("{"), "cat", {}, "config.json cannot be read"),
    ],
    ids=range(12),
)
def test_bad_input_is_one_sentence(bert: Any, edit: Any, given: Any, keywords: Any, said: str) -> None:
    model = bert(edit)

    with pytest.raises(HFModelsError, match=said):
        model.embed(given, **keywords)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("cosines = [", "cosines = [0.5, ", "cosines: there are 4 cosines for 3 pairs"),
        ('name = "vectors"', 'name = "others"', "arrays: there are no vectors of floats"),
        ("[[inputs]]", "[[more]]", "arrays: there are no vectors of floats|inputs"),
    ],
)
def test_an_edited_snapshot_is_refused(bert: Any, old: str, new: str, said: str) -> None:
    text = files(bert().embed(TEXTS)).text
    assert old in text

    with pytest.raises(SnapshotError, match=said):
        load(text.replace(old, new, 1), Path("a.toml"))
