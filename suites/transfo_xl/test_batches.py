"""Batches: the model takes no attention mask and reads padding as words; the classifier reads one word per row.

`tiny-transfo-xl` has no padding token; these tests pad with its <eos>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels import EngineError
from suites.transfo_xl import DOG, NAME, PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot

PAD = 0
BATCH = [NAME, PROMPT, DOG]
UNPADDED = pytest.mark.hf_model("tiny-transfo-xl", task="text-classification", engines=["torch", "tensorflow"])

pytestmark = pytest.mark.hf_model(
    "tiny-transfo-xl", task="text-classification", engines=["torch", "tensorflow"], pad_token_id=PAD
)


def test_padded_on_the_right(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = hf_model.classify(BATCH)

    assert record.labels == ("work", "work", "outing")
    assert record == hf_snapshot


def test_padded_on_the_left(hf_model: HFModel, monkeypatch: pytest.MonkeyPatch, hf_snapshot: HFSnapshot) -> None:
    monkeypatch.setattr(hf_model.tokenizer, "padding_side", "left")

    assert hf_model.classify(BATCH) == hf_snapshot


def test_padding_on_the_right_changes_no_row(hf_model: HFModel) -> None:
    together = hf_model.classify(BATCH).logits

    for text, row in zip(BATCH, together, strict=True):
        np.testing.assert_allclose(row, hf_model.classify(text).logits[0], atol=1e-4)


def test_padding_on_the_left_is_read_as_words(hf_model: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [hf_model.classify(text).logits[0] for text in BATCH]
    monkeypatch.setattr(hf_model.tokenizer, "padding_side", "left")

    together = hf_model.classify(BATCH).logits

    moved = [np.abs(np.subtract(row, own)).max() for row, own in zip(together, alone, strict=True)]
    assert moved[1] < 1e-4  # the longest text has no padding
    assert min(moved[0], moved[2]) > 0.1


def test_a_padding_token_inside_a_text_cuts_it_there(hf_model: HFModel) -> None:
    whole = hf_model.tokenizer.encode(PROMPT)

    cut = hf_model.loaded.classify(np.asarray([[*whole[:4], PAD, *whole[4:]]]), None, None, None)

    np.testing.assert_allclose(cut.logits, hf_model.classify(NAME).logits, atol=1e-4)


def test_rows_of_one_length_need_no_padding(hf_model: HFModel) -> None:
    together = hf_model.classify([NAME, "My name is Sara"]).logits

    for text, row in zip([NAME, "My name is Sara"], together, strict=True):
        np.testing.assert_allclose(row, hf_model.classify(text).logits[0], atol=1e-4)


def test_the_loss_is_the_mean_over_the_batch(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    labels = [7, 7, 3]

    record = hf_model.classify(BATCH, labels=labels)

    apart = [hf_model.classify(text, labels=[label]).loss for text, label in zip(BATCH, labels, strict=True)]
    assert record.loss is not None
    assert record.loss.value == pytest.approx(np.mean([loss.value for loss in apart if loss]), abs=1e-4)
    assert record == hf_snapshot


@pytest.mark.hf_engine_xfail(
    "tensorflow", reason="upstream's classifier has a loss for one label only", raises=EngineError
)
def test_zero_one_and_several_labels_in_one_batch(hf_model: HFModel, hf_snapshot: HFSnapshot) -> None:
    rows = np.zeros((3, hf_model.config.num_labels))
    rows[1, 7] = rows[2, 0] = rows[2, 3] = 1

    record = hf_model.classify(BATCH, labels=rows.tolist())

    probabilities = 1 / (1 + np.exp(-np.asarray(record.logits)))
    expected = -np.log(np.where(rows, probabilities, 1 - probabilities)).mean()
    assert record.loss is not None
    assert record.loss.value == pytest.approx(expected, abs=1e-4)
    assert record == hf_snapshot


@UNPADDED
def test_a_batch_without_a_padding_token_is_an_error(hf_model: HFModel) -> None:
    with pytest.raises(EngineError, match="Several texts need padding, and the model has no pad token") as raised:
        hf_model.classify(BATCH)

    assert "pad_token_id=" in raised.value.hint
