from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache

from ..surroundings import needs_both_engines
from ..tiny_gpt2 import LABELS

TEXTS = ["Walk the dog.", "No!"]
ROWS = [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]


@pytest.fixture
def classifier(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=256)


def test_logits_are_read_both_ways(classifier: HFModel) -> None:
    record = classifier.classify(TEXTS)

    logits = np.array(record.logits)
    assert logits.shape == (2, 3)
    assert record.labels == tuple(LABELS[index] for index in logits.argmax(axis=-1))
    for row in record.inputs:
        assert row.labels == tuple(
            name for name, value in zip(LABELS, row.logits, strict=True) if 1 / (1 + math.exp(-value)) > 0.5
        )
        first, second = sorted(row.logits, reverse=True)[:2]
        assert row.margin == pytest.approx(first - second)
    assert record.loss is None
    assert record.effective["num_labels"] == 3
    assert record.inputs[1].ids == tuple(b"No!")


def test_a_text_is_classified_alike_alone_and_in_a_batch(classifier: HFModel) -> None:
    together = classifier.classify(TEXTS)

    for text, row in zip(TEXTS, together.inputs, strict=True):
        assert classifier.classify(text).inputs[0].logits == pytest.approx(row.logits, abs=1e-5)


def test_a_single_label_loss_is_the_cross_entropy(classifier: HFModel) -> None:
    record = classifier.classify(TEXTS, labels=[0, 2])

    logits = np.array(record.logits)
    likelihoods = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert record.loss is not None
    assert record.loss.value == pytest.approx(-np.log(likelihoods[[0, 1], [0, 2]]).mean(), abs=1e-6)
    assert record.loss.labels == (0, 2)


@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])
def test_a_multi_label_loss_is_the_binary_cross_entropy(classifier: HFModel, problem_type: str | None) -> None:
    record = classifier.classify(TEXTS, labels=ROWS, problem_type=problem_type)

    likelihoods = 1 / (1 + np.exp(-np.array(record.logits)))
    labels = np.array(ROWS)
    expected = -(labels * np.log(likelihoods) + (1 - labels) * np.log(1 - likelihoods)).mean()
    assert record.loss is not None
    assert record.loss.value == pytest.approx(expected, abs=1e-6)
    assert record.loss.labels == tuple(ROWS)
    assert record.effective["problem_type"] == (problem_type or "inferred")


def test_a_batch_needs_a_pad_token(models: ModelCache) -> None:
    unpadded = models.load("./model", task="text-classification")

    assert len(unpadded.classify("abc").inputs) == 1
    for texts, said in ((TEXTS, "Several texts need padding, and"), (["abc", "xyz"], "even of equally long texts:")):
        with pytest.raises(EngineError, match=f"{said} the model has no pad token") as raised:
            unpadded.classify(texts)
        assert "pad_token_id=" in raised.value.hint


@pytest.mark.parametrize(("number", "said"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
@pytest.mark.parametrize("where", ["a logit", "the loss"])
def test_numbers_that_nothing_can_compare_are_refused(
    classifier: HFModel, monkeypatch: pytest.MonkeyPatch, where: str, number: float, said: str
) -> None:
    classify = type(classifier.loaded).classify_inputs

    def broken(self: object, *arguments: object) -> object:
        seen = classify(self, *arguments)  # type: ignore[arg-type]
        if where == "the loss":
            return replace(seen, loss=number)
        seen.logits[0, 1] = number
        return seen

    monkeypatch.setattr(type(classifier.loaded), "classify_inputs", broken)

    with pytest.raises(EngineError, match=f"./model on torch returned {said}"):
        classifier.classify("Hi", labels=[0])


@needs_both_engines
@pytest.mark.parametrize("labels", [None, [0, 2]], ids=["logits", "loss"])
def test_engines_agree(models: ModelCache, labels: Any) -> None:
    torch, tensorflow = (
        models.load("./model", task="text-classification", engine=engine, pad_token_id=256).classify(
            TEXTS, labels=labels
        )
        for engine in ("torch", "tensorflow")
    )

    assert tensorflow.labels == torch.labels
    np.testing.assert_allclose(tensorflow.logits, torch.logits, atol=1e-4)
    if torch.loss and tensorflow.loss:
        assert tensorflow.loss.value == pytest.approx(torch.loss.value, abs=1e-4)
