"""Sequence classification with the trained head of tiny-gpt2, read as single-label and as multi-label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels import EngineError
from suites.gpt2 import EOS, PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache

pytestmark = pytest.mark.hf_model(
    "tiny-gpt2", task="text-classification", engines=["torch", "tensorflow"], pad_token_id=EOS
)

NAME = "My name is Hasnain"
DOG = "I was going with my dog"
BATCH = [NAME, PROMPT, DOG]
OUTING, WORK = 3, 7


@pytest.mark.parametrize("texts", [[NAME], [NAME, DOG], BATCH], ids=len)
def test_logits_have_a_row_per_text_and_a_column_per_label(hf_model: HFModel, texts: list[str]) -> None:
    record = hf_model.classify(texts)

    assert np.shape(record.logits) == (len(texts), hf_model.config.num_labels)


def test_upstream_called_directly_gives_the_same_logits(hf_model: HFModel) -> None:
    inputs = hf_model.tokenizer(NAME, return_tensors=hf_model.return_tensors)

    logits = hf_model.model(**inputs).logits

    values = logits.detach().numpy() if hf_model.engine == "torch" else logits.numpy()
    assert values.shape == (1, hf_model.config.num_labels)
    np.testing.assert_allclose(values, hf_model.classify(NAME).logits, atol=1e-5)


def test_single_label_prediction_is_the_argmax(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(BATCH)

    predicted = np.asarray(record.logits).argmax(axis=-1)
    assert [hf_model.config.id2label[int(index)] for index in predicted] == ["work", "work", "outing"]
    assert record == hf_snapshot


def test_padded_on_the_left(hf_model: HFModel, monkeypatch: pytest.MonkeyPatch, hf_snapshot: HFSnapshot) -> None:
    """The classifier reads the last word of a text, wherever the padding is."""
    monkeypatch.setattr(hf_model.tokenizer, "padding_side", "left")

    assert hf_model.classify(BATCH) == hf_snapshot


def test_num_labels_given_at_load_sets_the_width(hf_model: HFModel, hf_models: ModelCache) -> None:
    wider = hf_models.load(
        "tiny-gpt2", task="text-classification", engine=hf_model.engine, head="fixed", num_labels=11, pad_token_id=EOS
    )

    record = wider.classify(BATCH)

    assert np.shape(record.logits) == (3, 11)
    assert wider.config.id2label == {index: f"LABEL_{index}" for index in range(11)}


def test_num_labels_of_the_checkpoint_given_at_load_changes_nothing(hf_model: HFModel, hf_models: ModelCache) -> None:
    same = hf_models.load(
        "tiny-gpt2",
        task="text-classification",
        engine=hf_model.engine,
        num_labels=hf_model.config.num_labels,
        pad_token_id=EOS,
    )

    assert same.classify(BATCH).logits == hf_model.classify(BATCH).logits


def test_single_label_loss(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(BATCH, labels=[WORK, WORK, OUTING])

    log_probabilities = [row - np.log(np.exp(row).sum()) for row in np.asarray(record.logits)]
    expected = -np.mean([row[label] for row, label in zip(log_probabilities, [WORK, WORK, OUTING], strict=True)])
    assert record.loss is not None
    assert record.loss.value == pytest.approx(expected, abs=1e-5)
    assert record == hf_snapshot


def test_multi_label_prediction_is_every_label_above_one_half(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(DOG)

    logits = np.asarray(record.logits[0])
    predicted = np.arange(hf_model.config.num_labels)[1 / (1 + np.exp(-logits)) > 0.5]
    assert [hf_model.config.id2label[int(index)] for index in predicted] == ["animals", "outing"]
    assert record == hf_snapshot


@pytest.mark.hf_engine_xfail(
    "tensorflow",
    reason="upstream's classifier ignores problem_type and has a loss for one label only",
    raises=EngineError,
)
def test_multi_label_loss(hf_models: ModelCache, hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    classifier = hf_models.load(
        "tiny-gpt2",
        task="text-classification",
        engine=hf_model.engine,
        problem_type="multi_label_classification",
        pad_token_id=EOS,
    )
    logits = np.asarray(classifier.classify(DOG).logits[0])
    predicted = np.arange(len(logits))[logits > 0]
    labels = np.eye(len(logits))[predicted].sum(axis=0)

    record = classifier.classify(DOG, labels=[labels])

    probabilities = 1 / (1 + np.exp(-logits))
    expected = -np.mean(labels * np.log(probabilities) + (1 - labels) * np.log(1 - probabilities))
    assert record.loss is not None
    assert record.loss.value == pytest.approx(expected, abs=1e-5)
    assert record == hf_snapshot


@pytest.mark.hf_engine_xfail(
    "tensorflow",
    reason="upstream's own class reads the rows as class indices, whatever its problem_type",
    raises=ValueError,
)
def test_upstream_called_directly_has_a_multi_label_loss(hf_models: ModelCache, hf_model: HFModel) -> None:
    classifier = hf_models.load(
        "tiny-gpt2",
        task="text-classification",
        engine=hf_model.engine,
        problem_type="multi_label_classification",
        pad_token_id=EOS,
    )
    logits = np.asarray(classifier.classify(DOG).logits[0])
    labels = (logits > 0).astype(np.float32)
    inputs = classifier.tokenizer(DOG, return_tensors=classifier.return_tensors)

    loss = classifier.model(**inputs, labels=classifier.loaded.tensor(labels[None])).loss

    value = loss.item() if hf_model.engine == "torch" else float(loss)
    expected = np.mean(np.log1p(np.exp(-np.abs(logits))))  # every label agrees with the sign of its logit
    assert value == pytest.approx(expected, abs=1e-5)


def test_a_labelled_call_leaves_the_config_unchanged(hf_model: HFModel) -> None:
    hf_model.classify(BATCH, labels=[WORK, WORK, OUTING])

    assert hf_model.config.problem_type is None
