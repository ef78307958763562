"""Compares a language model's loss with the mean negative log-probability of the counted tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.properties.calls import labelled
from pytest_hfmodels.reference import cross_entropy, next_token_loss
from pytest_hfmodels.reference.losses import IGNORED

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy
    from numpy.typing import NDArray

    from pytest_hfmodels.engines.base import IntArray
    from pytest_hfmodels.models import HFModel
    from pytest_hfmodels.properties.texts import PaddedTexts


@dataclass(frozen=True)
class LossViolation:
    """A counterexample.

    Args:
        ids: the input, row by row.
        labels: its labels.
        found: the model's loss.
        expected: the correct loss.
        what: the difference, in words.
    """

    ids: tuple[tuple[int, ...], ...]
    labels: tuple[Any, ...]
    found: float
    expected: float
    what: str

    def __str__(self) -> str:
        rows = [list(row) for row in self.ids]
        labels = [list(row) if isinstance(row, tuple) else row for row in self.labels]
        return f"{self.what}: {self.found:.7g} instead of {self.expected:.7g}, for {rows} with the labels {labels}"

    @classmethod
    def of(cls, what: str, ids: IntArray, labels: NDArray[Any], found: Any, expected: Any) -> LossViolation:
        """Return one made of arrays."""
        rows = tuple(tuple(row) for row in ids.tolist())
        wanted = tuple(tuple(row) if isinstance(row, list) else row for row in labels.tolist())
        return cls(rows, wanted, float(found), float(expected), what)


def close(found: float, expected: float, tolerance: float) -> bool:
    """Return whether two losses agree; a mean over nothing is NaN on both sides."""
    return bool(np.isclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True))


def next_token_labels(batch: PaddedTexts, *, counted: int = 1) -> SearchStrategy[IntArray]:
    """Return a strategy for a language model's labels: the text's own ids or others, some of them ignored.

    Padding is always ignored, as in training, and other places sometimes. They shrink to the text itself.

    Args:
        batch: the texts.
        counted: the fewest labels of the first row that count, if it is that long: a loss needs one.
    """
    from hypothesis import strategies as st

    ids, mask = batch.ids, batch.mask
    places = list(zip(*np.nonzero(mask), strict=True))
    needed = {(0, position + 1) for position in np.flatnonzero(mask[0, 1:])[:counted].tolist()}
    own = -1

    def asked_for(choices: list[int]) -> IntArray:
        labels = np.where(mask == 1, ids, IGNORED)
        for place, choice in zip(places, choices, strict=True):
            if choice >= 0 or (choice == IGNORED and place not in needed):
                labels[place] = choice
        return labels

    choice = st.one_of(st.just(own), st.integers(0, int(ids.max())), st.just(IGNORED))
    return st.lists(choice, min_size=len(places), max_size=len(places)).map(asked_for)


def check_language_model_loss(
    model: HFModel,
    ids: IntArray,
    labels: IntArray,
    *,
    mask: IntArray | None = None,
    num_items_in_batch: int | None = None,
    tolerance: float = 2e-5,
) -> LossViolation | None:
    """Return how the model's loss differs from the reference, or None.

    The reference is computed from the logits of a call without labels. The label at a position is the token there, so
    that logits predict the label after them; -100 costs nothing and is not counted.

    Args:
        model: a language model.
        ids: (B, L), L at least 2.
        labels: (B, L).
        mask: (B, L), for padded ids.
        num_items_in_batch: the divisor of the sum instead of the number of counted labels, as for gradient
            accumulation; for releases that have it.
        tolerance: absolute below 1, relative above.
    """
    logits = model.loaded.forward(ids, mask).logits
    given = {} if num_items_in_batch is None else {"num_items_in_batch": num_items_in_batch}
    output = labelled(model, ids, mask, labels, **given)
    expected = _expected(logits, labels, num_items_in_batch)
    if "loss" not in output:
        return LossViolation.of("the call gives no loss", ids, labels, np.nan, expected)
    found = float(output["loss"].mean())
    if not close(found, expected, tolerance):
        return LossViolation.of("the loss is", ids, labels, found, expected)
    if "losses" in output:  # Transformer-XL's, one a word
        return _check_each(ids, labels, output["losses"], logits, tolerance)
    return None


def _expected(logits: Any, labels: IntArray, items: int | None) -> float:
    if items is None:
        return float(next_token_loss(logits, labels))
    return float(cross_entropy(logits[:, :-1], labels[:, 1:], reduction="sum")) / items


def _check_each(ids: IntArray, labels: IntArray, found: Any, logits: Any, tolerance: float) -> LossViolation | None:
    """Compare the words' losses in any order: upstream groups them by cluster."""
    expected = cross_entropy(logits[:, :-1], labels[:, 1:], reduction="none")
    if found.shape != expected.shape:
        return LossViolation.of(f"the losses' shape is {found.shape}", ids, labels, np.nan, np.nan)
    for rank, pair in enumerate(zip(np.sort(found, axis=None), np.sort(expected, axis=None), strict=True), start=1):
        if not close(*pair, tolerance):
            return LossViolation.of(f"number {rank} of the words' losses, smallest first, is", ids, labels, *pair)
    return None
