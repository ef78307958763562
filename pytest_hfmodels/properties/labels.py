"""Strategies for the labels of a classifier: problem type, number of labels and labels that fit together.

hypothesis is imported inside: the checkers of this folder work without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.reference.losses import IGNORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy
    from numpy.typing import NDArray

    from pytest_hfmodels.properties.texts import PaddedTexts
    from pytest_hfmodels.reference.losses import ProblemType

PROBLEM_TYPES: tuple[ProblemType, ...] = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


@dataclass(frozen=True)
class LabelSet:
    """The labels of a batch, and how a classifier takes them.

    Args:
        problem_type: as in the configuration; None leaves it to be inferred from `num_labels` and the labels.
        num_labels: the classifier's outputs.
        values: a label for each text: a class, a number, or a row of numbers.
        dtype: NumPy's name of the labels' dtype.
    """

    problem_type: ProblemType | None
    num_labels: int
    values: tuple[Any, ...]
    dtype: str

    @property
    def array(self) -> NDArray[Any]:
        """The labels, (B,), (B, 1) or (B, num_labels)."""
        import numpy as np

        return np.asarray(self.values, dtype=self.dtype)


def label_sets(
    rows: int,
    *,
    num_labels: Sequence[int] = (1, 2, 3, 5),
    problem_types: Sequence[ProblemType | None] = (None, *PROBLEM_TYPES),
    ignored: bool = True,
    one_number: bool = False,
) -> SearchStrategy[LabelSet]:
    """Return a strategy for label sets that every release takes.

    Classes are int64, of at least two labels; other labels are float32. If the problem type is None, the labels imply
    it. They shrink to zeros.

    Args:
        rows: texts in the batch.
        num_labels: how many outputs a classifier may have.
        problem_types: which to draw; None is to be inferred.
        ignored: whether some labels may be -100, which is ignored; at least one is a class.
        one_number: draw only labels of one number a text, (B,): classes, or a regression with one output. Otherwise
            such labels may also be a column, (B, 1), and other labels rows, (B, num_labels).
    """
    from hypothesis import strategies as st

    kinds = [
        (given, count, kind)
        for given in problem_types
        for count in num_labels
        for kind in ((given,) if given else _implied(count))
        if (kind != "single_label_classification" or count > 1)
        and (not one_number or kind == "single_label_classification" or (kind == "regression" and count == 1))
    ]

    @st.composite
    def sets(draw: st.DrawFn) -> LabelSet:
        given, count, kind = draw(st.sampled_from(kinds))
        single = kind == "single_label_classification"
        value = _values(kind, count)
        counted = draw(st.integers(0, rows - 1))  # at least one class is not ignored
        other = st.one_of(value, st.just(IGNORED)) if single and ignored else value
        found = [draw(value if row == counted else other) for row in range(rows)]
        if (single or (kind == "regression" and count == 1)) and not one_number and draw(st.booleans()):
            found = [(number,) for number in found]
        return LabelSet(given, count, tuple(found), "int64" if single else "float32")

    return sets()


def labelled_texts(batches: SearchStrategy[PaddedTexts], **how: Any) -> SearchStrategy[tuple[PaddedTexts, LabelSet]]:
    """Return a strategy for batches with labels that fit them.

    Args:
        batches: a strategy such as `padded_texts`.
        how: keywords of `label_sets`.
    """
    from hypothesis import strategies as st

    return batches.flatmap(lambda batch: st.tuples(st.just(batch), label_sets(len(batch.texts), **how)))


def _implied(count: int) -> tuple[ProblemType, ...]:
    """Return the problem types that labels may imply for a classifier of `count` outputs."""
    return ("regression",) if count == 1 else ("single_label_classification", "multi_label_classification")


def _values(kind: ProblemType, count: int) -> SearchStrategy[Any]:
    """Return a strategy for the label of one text."""
    from hypothesis import strategies as st

    if kind == "single_label_classification":
        return st.integers(0, count - 1)
    if kind == "multi_label_classification":
        # Soft labels count too; a single output takes a row of one.
        return st.tuples(*[st.sampled_from((0.0, 1.0, 0.25))] * count)
    number = st.integers(-16, 16).map(lambda quarters: quarters / 4)  # exact in every dtype
    return number if count == 1 else st.tuples(*[number] * count)
