"""Sequence classification of one text with the trained head, read as single-label and as multi-label.

TensorFlow runs upstream's class on every transformers 4, and is compared with torch's snapshots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels import EngineError
from suites.transfo_xl import DOG, NAME

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache

pytestmark = pytest.mark.hf_model("tiny-transfo-xl", task="text-classification", engines=["torch", "tensorflow"])
SINGLE, MULTI = "single_label_classification", "multi_label_classification"
NO_MULTI_LABEL_LOSS = pytest.mark.hf_engine_xfail(
    "tensorflow", reason="upstream's classifier has a loss for one label only", raises=EngineError
)


def one_hot_sum(labels: list[int], width: int) -> list[float]:
    return [float(total) for total in np.eye(width)[labels].sum(axis=0)] if labels else [0.0] * width


def several_labels(classifier: HFModel, models: ModelCache) -> HFModel:
    """The same classifier, reloaded for any number of labels per text."""
    return models.load("tiny-transfo-xl", task="text-classification", engine=classifier.engine, problem_type=MULTI)


def binary_cross_entropy(logits: tuple[float, ...], target: list[float]) -> float:
    probabilities = 1 / (1 + np.exp(-np.asarray(logits)))
    return -float(np.mean([np.log(p if wanted else 1 - p) for p, wanted in zip(probabilities, target, strict=True)]))


def test_single_label_prediction(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(NAME)

    assert np.shape(record.logits) == (1, hf_model.config.num_labels)
    assert hf_model.config.id2label[int(np.argmax(record.logits[0]))] == "work"
    assert record == hf_snapshot


@pytest.mark.hf_model("tiny-transfo-xl", task="text-classification")
def test_the_model_called_directly_gives_the_same_logits(hf_model: HFModel) -> None:
    import torch

    inputs = hf_model.tokenizer(NAME, return_tensors="pt")

    with torch.no_grad():
        logits = hf_model.model(**inputs).logits

    predicted = logits.argmax().item()
    assert logits.shape == (1, hf_model.config.num_labels)
    assert not logits.requires_grad
    assert hf_model.config.id2label[predicted] == "work"
    np.testing.assert_allclose(logits.numpy(), hf_model.classify(NAME).logits, atol=1e-5)


def test_labels_have_numbers_where_the_checkpoint_names_none(hf_model: HFModel, hf_models: ModelCache) -> None:
    unnamed = hf_models.load(
        "tiny-transfo-xl", task="text-classification", engine=hf_model.engine, head="fixed", num_labels=2
    )

    assert unnamed.config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert unnamed.classify(NAME).labels[0] in ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize("width", [1, 2, 11])
def test_num_labels_given_at_load_sets_the_width(hf_model: HFModel, hf_models: ModelCache, width: int) -> None:
    other = hf_models.load(
        "tiny-transfo-xl", task="text-classification", engine=hf_model.engine, head="fixed", num_labels=width
    )

    assert other.config.num_labels == width
    assert np.shape(other.classify(NAME).logits) == (1, width)


def test_num_labels_of_the_checkpoint_given_at_load_changes_nothing(hf_model: HFModel, hf_models: ModelCache) -> None:
    same = hf_models.load(
        "tiny-transfo-xl",
        task="text-classification",
        engine=hf_model.engine,
        num_labels=hf_model.config.num_labels,
    )

    assert same.classify(NAME).logits == hf_model.classify(NAME).logits


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
    assert record.inputs[0].labels == ("animals", "outing")
    assert record == hf_snapshot


def test_reloading_for_several_labels_keeps_the_logits(hf_model: HFModel, hf_models: ModelCache) -> None:
    reloaded = several_labels(hf_model, hf_models)

    assert (hf_model.config.problem_type, reloaded.config.problem_type) == (None, MULTI)
    assert reloaded.classify(DOG).logits == hf_model.classify(DOG).logits


@NO_MULTI_LABEL_LOSS
def test_multi_label_loss_of_the_predicted_labels(
    hf_model: HFModel, hf_models: ModelCache, hf_snapshot: HFSnapshot
) -> None:
    classifier = several_labels(hf_model, hf_models)
    predicted = [index for index, logit in enumerate(classifier.classify(DOG).logits[0]) if logit > 0]

    record = classifier.classify(DOG, labels=[one_hot_sum(predicted, classifier.config.num_labels)])

    assert record.loss is not None
    assert record.loss.value < 0.05
    assert record == hf_snapshot


@NO_MULTI_LABEL_LOSS
@pytest.mark.parametrize("labels", [[], [0], [0, 3]], ids=["none", "one", "several"])
def test_multi_label_loss(hf_model: HFModel, hf_models: ModelCache, labels: list[int], hf_snapshot: HFSnapshot) -> None:
    classifier = several_labels(hf_model, hf_models)
    target = one_hot_sum(labels, classifier.config.num_labels)

    record = classifier.classify(DOG, labels=[target])

    assert record.loss is not None
    assert record.loss.value == pytest.approx(binary_cross_entropy(record.logits[0], target), abs=1e-4)
    assert record == hf_snapshot


@pytest.mark.hf_model("tiny-transfo-xl", task="text-classification", problem_type=MULTI)
def test_the_model_called_directly_has_the_same_multi_label_loss(hf_model: HFModel) -> None:
    import torch

    inputs = hf_model.tokenizer(DOG, return_tensors="pt")
    with torch.no_grad():
        logits = hf_model.model(**inputs).logits
    predicted = torch.arange(logits.shape[-1])[torch.sigmoid(logits[0]) > 0.5]
    labels = torch.nn.functional.one_hot(predicted[None], num_classes=logits.shape[-1]).sum(dim=1).to(torch.float)

    loss = hf_model.model(**inputs, labels=labels).loss

    assert loss.item() == pytest.approx(binary_cross_entropy(logits[0].tolist(), labels[0].tolist()), abs=1e-4)


def test_a_labelled_call_leaves_the_configuration_unchanged(hf_model: HFModel) -> None:
    hf_model.classify(NAME, labels=[1])

    assert hf_model.config.problem_type is None
