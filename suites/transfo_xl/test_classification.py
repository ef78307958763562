"""Sequence classification with the trained head, read as single- and multi-label; what users get for wrong labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels import EngineError
from suites.transfo_xl import DOG, NAME

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache

pytestmark = pytest.mark.hf_model("tiny-transfo-xl", task="text-classification")
SINGLE, MULTI = "single_label_classification", "multi_label_classification"


def one_hot_sum(labels: list[int], width: int) -> list[float]:
    return [float(total) for total in np.eye(width)[labels].sum(axis=0)] if labels else [0.0] * width


def test_single_label_prediction(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(NAME)

    assert np.shape(record.logits) == (1, hf_model.config.num_labels)
    assert hf_model.config.id2label[int(np.argmax(record.logits[0]))] == "work"
    assert record == hf_snapshot


def test_labels_have_numbers_where_the_checkpoint_names_none(hf_models: ModelCache) -> None:
    unnamed = hf_models.load("tiny-transfo-xl", task="text-classification", head="new", num_labels=2)

    assert unnamed.config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert np.shape(unnamed.classify(NAME).logits) == (1, 2)


def test_single_label_loss(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(NAME, labels=[1], problem_type=SINGLE)

    row = np.asarray(record.logits[0])
    assert record.loss is not None
    assert record.loss.value == pytest.approx(-(row[1] - np.log(np.exp(row).sum())), abs=1e-4)
    assert record == hf_snapshot


def test_multi_label_prediction(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(DOG)

    logits = np.asarray(record.logits[0])
    predicted = np.arange(hf_model.config.num_labels)[1 / (1 + np.exp(-logits)) > 0.5]
    assert [hf_model.config.id2label[int(index)] for index in predicted] == ["animals", "outing"]
    assert record == hf_snapshot


@pytest.mark.parametrize("labels", [[], [0], [0, 3]], ids=["none", "one", "several"])
def test_multi_label_loss(hf_models: ModelCache, labels: list[int], hf_snapshot: HFSnapshot) -> None:
    classifier = hf_models.load("tiny-transfo-xl", task="text-classification", problem_type=MULTI)
    target = one_hot_sum(labels, classifier.config.num_labels)

    record = classifier.classify(DOG, labels=[target])

    probabilities = 1 / (1 + np.exp(-np.asarray(record.logits[0])))
    expected = -np.mean([np.log(p if t else 1 - p) for p, t in zip(probabilities, target, strict=True)])
    assert record.loss is not None
    assert record.loss.value == pytest.approx(expected, abs=1e-4)
    assert record == hf_snapshot


@pytest.mark.parametrize(
    ("labels", "problem_type", "said"),
    [
        pytest.param([99], SINGLE, "Label 99 is outside", id="out-of-range"),
        pytest.param([0.5], SINGLE, "Label 0.5 is no class index", id="float-for-a-class"),
        pytest.param([[1.0, 0.0]], MULTI, "is not a row of 8 floats", id="too-few-columns"),
    ],
)
def test_wrong_labels_are_an_error(hf_model: HFModel, labels: list[object], problem_type: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        hf_model.classify(NAME, labels=labels, problem_type=problem_type)


def test_a_padded_batch_is_pooled_before_the_first_pad(hf_models: ModelCache) -> None:
    padded = hf_models.load("tiny-transfo-xl", task="text-classification", pad_token_id=0)

    both = padded.classify([NAME, DOG + " to the park."])

    np.testing.assert_allclose(both.logits[0], padded.classify(NAME).logits[0], atol=1e-4)
