"""Pairs, images and sounds. The checkpoints are those of `tests/projects`; the one for sounds is made here."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.inputs import ModelInput, describe_media, model_inputs
from pytest_hfmodels.snapshots import Tolerance, compare

from ..explain.asking import ask, stored
from ..projects.drawn import save

PROJECTS = Path(__file__).parents[1] / "projects"
PAIRS = [("The cat", "the dog is red"), ("I am", "you")]
IMAGE = np.arange(20 * 20 * 3, dtype=np.uint8).reshape(20, 20, 3)
SOUND = np.sin(np.arange(800) / 9).astype(np.float32)
RATE = 16000


@pytest.fixture
def pairs(models: ModelCache) -> HFModel:
    return models.load(PROJECTS / "pair_classifier" / "model")


@pytest.fixture
def ranker(models: ModelCache) -> HFModel:
    return models.load(PROJECTS / "reranker" / "model")


@pytest.fixture
def vision(models: ModelCache) -> HFModel:
    pytest.importorskip("PIL", reason="image processors need pillow: pip install pillow")
    return models.load(PROJECTS / "vision_classifier" / "model")


@pytest.fixture
def hearing(models: ModelCache, tmp_path: Path) -> HFModel:
    save(
        tmp_path / "hearing",
        "Wav2Vec2ForSequenceClassification",
        vocab_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
        num_labels=3,
    )
    settings = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": RATE, "feature_size": 1}
    text = json.dumps({**settings, "padding_value": 0.0, "do_normalize": True, "return_attention_mask": True})
    (tmp_path / "hearing" / "preprocessor_config.json").write_text(text, encoding="utf-8")
    return models.load(tmp_path / "hearing")


def test_a_pair_has_token_types_that_count(pairs: HFModel) -> None:
    record = pairs.classify(PAIRS)
    row = record.inputs[0]

    assert (row.text, row.pair) == PAIRS[0]
    assert set(row.types) == {0, 1}
    assert len(row.types) == len(row.ids)
    without = pairs.observe(input_ids=[list(row.ids)]).arrays["logits"].values[0]
    assert np.abs(without - row.logits).max() > 1e-3
    assert row.logits == pytest.approx(pairs.classify(PAIRS[0]).inputs[0].logits, abs=1e-5)
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME


def test_texts_alone_have_no_types_in_their_snapshot(pairs: HFModel) -> None:
    (row,) = pairs.classify("The cat").inputs

    assert (row.pair, row.types) == ("", ())


def test_another_second_text_is_the_test_s(pairs: HFModel) -> None:
    found = ask(stored(pairs.classify(PAIRS)), pairs.classify([PAIRS[0], ("I am", "we")]))

    assert (found.verdict, found.cause) == ("changed", "test")


def test_other_token_types_are_the_tokenizer_s(pairs: HFModel) -> None:
    record = pairs.classify(PAIRS)
    first = replace(record.inputs[0], types=(0,) * len(record.inputs[0].ids))
    found = ask(stored(replace(record, inputs=(first, *record.inputs[1:]))), record)

    assert (found.verdict, found.cause) == ("changed", "tokenizer")


def test_the_sign_of_a_single_number_decides_nothing(ranker: HFModel) -> None:
    record = ranker.classify(PAIRS)
    first = record.inputs[0]
    above = replace(record, inputs=(replace(first, logits=(0.001,), labels=("LABEL_0",)), *record.inputs[1:]))
    below = replace(record, inputs=(replace(first, logits=(-0.001,), labels=()), *record.inputs[1:]))

    assert compare(above, below, Tolerance(1e-4)).verdict is Verdict.DRIFT
    assert compare(above, below, Tolerance(1e-2)).verdict is Verdict.SAME


def test_an_image_is_known_by_its_digest_and_what_the_processor_made(vision: HFModel) -> None:
    record = vision.classify([IMAGE, IMAGE[:10]])

    assert record.inputs[0].text.startswith("image 20 x 20 x 3 uint8 sha256:")
    assert [(one.name, one.shape) for one in record.processed] == [("pixel_values", (2, 3, 16, 16))]
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME
    found = ask(stored(record), vision.classify([IMAGE, IMAGE[:11]]))
    assert (found.verdict, found.cause) == ("changed", "test")


def test_the_order_of_bytes_in_memory_is_not_recorded() -> None:
    sound = np.arange(8, dtype="<f4")

    assert describe_media(sound, "audio") == describe_media(sound.astype(">f4"), "audio")


def test_a_pil_image_is_classified_as_its_array(vision: HFModel) -> None:
    image = pytest.importorskip("PIL.Image", reason="install pillow (the extra `tests`)").fromarray(IMAGE)

    assert vision.classify(image).logits == vision.classify(IMAGE).logits


@pytest.mark.parametrize(("amount", "verdict"), [(0.01, "changed"), (1e-5, "drift")])
def test_a_processor_that_gives_other_numbers_is_blamed_and_not_the_model(
    vision: HFModel, amount: float, verdict: str
) -> None:
    """Also for a movement too small to be a difference of its own, once the logits have moved."""
    record = vision.classify(IMAGE)
    made = replace(record.processed[0], norm=record.processed[0].norm * (1 + amount))
    inputs = (replace(record.inputs[0], logits=tuple(value + 0.01 for value in record.inputs[0].logits)),)

    found = ask(stored(replace(record, processed=(made,), inputs=inputs)), record)

    assert (found.verdict, found.cause) == (verdict, "preprocessor")


def test_a_processor_that_the_test_has_changed_is_the_test_s(vision: HFModel, models: ModelCache) -> None:
    recorded = stored(vision.classify(IMAGE))
    vision.processor.image_mean = [0.1, 0.2, 0.3]

    found = ask(recorded, vision.classify(IMAGE))
    list(models.dirty(handed_out=True))

    assert (found.verdict, found.cause) == ("changed", "test")
    assert "image_mean" in found.sentence


def test_rounding_of_the_processor_is_not_blamed(vision: HFModel) -> None:
    record = vision.classify(IMAGE)
    inputs = (replace(record.inputs[0], logits=tuple(value + 0.01 for value in record.inputs[0].logits)),)

    assert ask(stored(replace(record, inputs=inputs), transformers="4.50.0"), record).cause == "forward"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("cat.png", "An image is a PIL image or an array of numbers"),
        (np.zeros(5), "not one of the shape (5,)"),
        (np.zeros((0, 8, 3)), "not one of the shape (0, 8, 3)"),
        ([IMAGE, "cat"], "not str"),
    ],
)
def test_what_is_no_image_is_refused(vision: HFModel, given: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        vision.classify(given)


def test_a_sound_has_a_rate(hearing: HFModel) -> None:
    record = hearing.classify(SOUND, sampling_rate=RATE)

    assert record.inputs[0].text.startswith("audio 800 float32 sha256:")
    assert hearing.classify({"array": SOUND, "sampling_rate": RATE}).logits == record.logits
    assert len(hearing.classify([SOUND, SOUND[:500]], sampling_rate=RATE).inputs) == 2
    assert compare(stored(record), record, Tolerance(1e-6)).verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("given", "rate", "said"),
    [
        (SOUND, None, "A sound has an unknown number of samples a second; the model takes 16000."),
        (SOUND, 8000, "A sound has 8000 samples a second; the model takes 16000."),
        (np.zeros((2, 800)), RATE, "A sound is an array of numbers (samples,), not one of the shape (2, 800)."),
        ("hello.wav", RATE, "not str"),
        (SOUND[:0], RATE, "A sound is an array of numbers (samples,), not one of the shape (0,)."),
    ],
)
def test_what_is_no_sound_is_refused(hearing: HFModel, given: Any, rate: Any, said: str) -> None:
    with pytest.raises(EngineError, match=re.escape(said)):
        hearing.classify(given, sampling_rate=rate)


def test_text_for_images_and_images_for_text_are_refused(pairs: HFModel, vision: HFModel) -> None:
    with pytest.raises(EngineError, match="What is classified is text, not a list"):
        pairs.classify(IMAGE)
    with pytest.raises(EngineError, match="no tokenizer, so it takes no text"):
        vision.observe(text="a cat")
    with pytest.raises(EngineError, match="no image processor, so it takes no images"):
        pairs.observe(images=IMAGE)


def test_many_whole_numbers_are_known_by_a_digest() -> None:
    ones = np.ones((1, 600), dtype=np.int64)
    other = ones.copy()
    other[0, 5] = 2

    (before,), (now,) = model_inputs({"mask": ones}), model_inputs({"mask": other})

    assert before.numbers == ()
    assert before.moved(before) == 0
    assert before.moved(now) == np.inf


@pytest.mark.parametrize(("norm", "projection"), [(-2.0, 0.5), (np.inf, 0.5), (2.0, np.nan), (np.nan, np.nan)])
def test_numbers_that_no_processor_gives_are_far_from_all(norm: float, projection: float) -> None:
    right, wrong = ModelInput("x", (4,), 2.0, 0.5), ModelInput("x", (4,), norm, projection)

    assert right.moved(wrong) > 1
    assert wrong.moved(right) > 1


def test_how_far_an_input_moved_does_not_depend_on_its_size() -> None:
    small, large = ModelInput("x", (4,), 2.0, 0.5), ModelInput("x", (4,), 2000.0, 500.0)

    assert small.moved(replace(small, projection=0.6)) == pytest.approx(0.1)
    assert large.moved(replace(large, projection=600.0)) == pytest.approx(0.1)


def test_a_classifier_of_one_s_own_needs_neither_labels_nor_a_configuration(pairs: HFModel, models: ModelCache) -> None:
    import torch

    class Own(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(40, 2)
            self.shift = 0.0

        def forward(self, input_ids: Any, attention_mask: Any = None) -> dict[str, Any]:
            del attention_mask
            found = self.words(input_ids).mean(dim=1)
            return {"logits": found + self.shift}

    module = Own()
    torch.nn.init.constant_(module.words.weight, 0.5)
    own = models.adopt(module.eval(), pairs.tokenizer, task="text-classification", name="own")

    record = own.classify(["my cat", "your dog"])
    assert (record.labels[0][:6], record.logits[0]) == ("LABEL_", (0.5, 0.5))
    with pytest.raises(EngineError, match="The forward of Own takes no labels"):
        own.classify("my cat", labels=[0])
    with pytest.raises(EngineError, match="the model has no pad token"):
        own.classify(["my cat", "you"])

    module.shift = 1.0
    found = ask(stored(record, transformers="4.50.0"), own.classify(["my cat", "your dog"]))
    assert found.verdict == "drift"
    list(models.dirty(handed_out=True))
