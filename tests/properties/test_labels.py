"""Batches of texts and their labels are valid as a whole, and shrink to one plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import LabelSet, PaddedTexts, label_sets, labelled_texts, padded_texts
from pytest_hfmodels.properties.labels import PROBLEM_TYPES
from pytest_hfmodels.reference import classifier_loss, infer_problem_type

from .shrinking import smallest

if TYPE_CHECKING:
    from pytest_hfmodels.properties.texts import Side

DRAWN = settings(deadline=None, derandomize=True, database=None)
SINGLE, MULTI, REGRESSION = PROBLEM_TYPES
IGNORED = -100
batches = padded_texts(30, 7)


@DRAWN
@given(batch=padded_texts(30, 7, lengths=(2, 5), batch=4, pad_inside=True))
def test_padding_fills_each_text_up_to_the_longest_on_its_side(batch: PaddedTexts) -> None:
    longest = max(len(text) for text in batch.texts)

    assert batch.ids.shape == batch.mask.shape == (len(batch.texts), longest)
    for text, row, mask in zip(batch.texts, batch.ids.tolist(), batch.mask.tolist(), strict=True):
        gap = longest - len(text)
        assert 2 <= len(text) <= 5
        assert row == [*[7] * gap, *text] if batch.side == "left" else row == [*text, *[7] * gap]
        assert mask == [0] * gap + [1] * len(text) if batch.side == "left" else mask == [1] * len(text) + [0] * gap


@DRAWN
@given(batch=padded_texts(30, 7, pad_inside=True))
def test_a_text_never_ends_in_the_padding_token(batch: PaddedTexts) -> None:
    assert all(text[-1] != 7 for text in batch.texts)


@DRAWN
@given(batch=batches)
def test_texts_contain_the_padding_token_only_on_request(batch: PaddedTexts) -> None:
    assert all(7 not in text for text in batch.texts)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_requested_sides_are_drawn_and_shrink(side: Side) -> None:
    found = smallest(padded_texts(30, 7, sides=[side]), lambda batch: bool((batch.mask == 0).any()))

    assert found == PaddedTexts(((0,), (0, 0)), 7, side) or found == PaddedTexts(((0, 0), (0,)), 7, side)


def test_the_padding_token_inside_a_text_is_drawn() -> None:
    found = smallest(padded_texts(30, 7, pad_inside=True), lambda batch: any(7 in text for text in batch.texts))

    assert found.texts == ((7, 0),)


def test_the_smallest_batch_is_one_text_of_one_small_token() -> None:
    assert smallest(batches, lambda _: True) == PaddedTexts(((0,),), 7, "right")


@DRAWN
@given(data=st.data(), rows=st.integers(1, 6))
def test_labels_fit_the_problem_type_whether_given_or_inferred(data: st.DataObject, rows: int) -> None:
    drawn = data.draw(label_sets(rows))

    labels, count = drawn.array, drawn.num_labels
    kind = drawn.problem_type or infer_problem_type(count, labels)
    one_number = [(rows,), (rows, 1)]
    if kind == SINGLE:
        assert count > 1
        assert labels.dtype == np.int64
        assert labels.shape in one_number
        assert all(label == IGNORED or 0 <= label < count for label in labels.flat)
        assert (labels != IGNORED).any()
    else:
        assert labels.dtype == np.float32
        assert labels.shape in (one_number if kind == REGRESSION and count == 1 else [(rows, count)])
    if kind == MULTI:
        assert ((labels >= 0) & (labels <= 1)).all()
    assert np.isfinite(classifier_loss(np.zeros((rows, count)), labels, drawn.problem_type))


@pytest.mark.parametrize(
    ("given_type", "count"),
    [(None, 1), (None, 3), (SINGLE, 2), (SINGLE, 5), (MULTI, 1), (MULTI, 3), (REGRESSION, 1), (REGRESSION, 2)],
)
def test_every_problem_type_is_drawn_for_the_numbers_of_labels_that_it_has(given_type: str | None, count: int) -> None:
    wanted = (given_type, count)

    found = smallest(label_sets(2), lambda drawn: (drawn.problem_type, drawn.num_labels) == wanted, examples=1000)

    assert not found.array.any()


def test_a_single_label_needs_a_choice() -> None:
    with pytest.raises(LookupError):
        smallest(label_sets(2), lambda drawn: (drawn.problem_type, drawn.num_labels) == (SINGLE, 1), examples=1000)


@DRAWN
@given(drawn=label_sets(3, one_number=True, ignored=False))
def test_one_number_per_text_on_request(drawn: LabelSet) -> None:
    assert drawn.array.shape == (3,)
    assert (drawn.array != IGNORED).all()
    assert drawn.num_labels > 1 or drawn.dtype == "float32"


def test_the_smallest_labels_are_zeros() -> None:
    assert smallest(label_sets(2), lambda _: True) == LabelSet(None, 1, (0.0, 0.0), "float32")


def test_an_ignored_label_shrinks_to_itself_among_zeros() -> None:
    found = smallest(label_sets(2), lambda drawn: IGNORED in drawn.values)

    assert found == LabelSet(None, 2, (0, IGNORED), "int64")


@DRAWN
@given(example=labelled_texts(batches, num_labels=[3]))
def test_there_is_a_label_for_every_text(example: tuple[PaddedTexts, LabelSet]) -> None:
    batch, labels = example

    assert len(labels.array) == len(batch.texts)
    assert labels.num_labels == 3
