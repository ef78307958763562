"""What a test hands in as a classifier's labels, checked against the batch before a loss trips on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import EngineError
from pytest_hfmodels.kinds.prompt import listed

if TYPE_CHECKING:
    from pytest_hfmodels.engines.base import FloatArray, IntArray

PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")


def require_problem_type(problem_type: object) -> None:
    """Refuse a problem type that upstream does not know, which it would silently ignore.

    Raises:
        EngineError: with the known ones.
    """
    if problem_type is not None and problem_type not in PROBLEM_TYPES:
        raise EngineError(
            f"Unknown problem_type {problem_type!r}.",
            hint=f"It is one of {', '.join(PROBLEM_TYPES)}, or left out to follow the labels.",
        )


def checked_labels(labels: object, texts: int, names: Sequence[str], problem_type: str | None) -> IntArray | FloatArray:
    """Return labels as the array that upstream's loss takes.

    Args:
        labels: what the test gave: indices, numbers, or names of the model's labels.
        texts: how many texts it gave.
        names: of the model's labels.
        problem_type: as the call or the configuration says, or None to infer it from the labels as upstream does.

    Returns:
        Class indices, (texts,) int64; or numbers, (texts,) or (texts, classes) float64.

    Raises:
        EngineError: they do not fit, naming the first that does not.
    """
    import numpy as np

    values = listed(labels)
    if not _is_row(values):
        raise EngineError(
            f"labels={values!r:.40} is not a list with one label per text.", hint="For one text, write labels=[0]."
        )
    classes = len(names)
    rows = [listed(value) if classes == 1 else _indexed(listed(value), names) for value in values]
    if len(rows) != texts:
        raise EngineError(
            f"Number of labels: {len(rows)}; number of texts: {texts}.",
            hint="Give one label per text, in the same order.",
        )
    problem = problem_type or _inferred(rows, classes)
    if problem == "single_label_classification":
        for row in rows:
            _require_class(row, classes)
        return np.asarray(rows, dtype=np.int64)
    return np.asarray([_numbers(row, classes, problem) for row in rows], dtype=np.float64)


def _indexed(label: Any, names: Sequence[str]) -> Any:
    """Return the index of a named label, zeros and ones for a list of names, and anything else unchanged.

    Raises:
        EngineError: the model has no label of that name, or several.
    """
    if isinstance(label, str):
        if names.count(label) != 1:
            many = "several labels named" if label in names else "no label"
            raise EngineError(
                f"The model has {many} {label!r:.40}.", hint=f"Its labels are {', '.join(names)}; or give an index."
            )
        return names.index(label)
    if _is_row(label) and label and all(isinstance(one, str) for one in label):
        own = {_indexed(one, names) for one in label}
        return [float(index in own) for index in range(len(names))]
    return label


def _inferred(rows: Sequence[Any], classes: int) -> str:
    """Return the problem type that upstream infers: by the number of labels, then by what they are."""
    if classes == 1:
        return "regression"
    return "multi_label_classification" if any(map(_is_row, rows)) else "single_label_classification"


def _require_class(label: Any, classes: int) -> None:
    if not isinstance(label, Integral) or isinstance(label, bool):
        raise EngineError(
            f"Label {label!r:.40} is not a class index.",
            hint=f"A single label is a whole number from 0 to {classes - 1}; "
            f"for several labels per text, give rows of {classes} floats.",
        )
    if not 0 <= int(label) < classes:
        raise EngineError(
            f"Label {label} is outside the model's {classes} classes.",
            hint=f"A class index is 0 to {classes - 1}; leave a text without a label out of the batch.",
        )


def _numbers(label: Any, classes: int, problem: str) -> list[float] | float:
    """Return one text's numbers: a row of them, or a single one for a regression on one."""
    row: list[Any] = list(label) if _is_row(label) else [label]
    wanted, example = "one number", "[0.5, …]"
    if problem != "regression" or classes > 1:
        wanted, example = f"a row of {classes} floats", f"[[{', '.join(['1.0', *['0.0'] * (classes - 1)])}], …]"
        if _is_row(label) and len(row) == classes and all(map(_is_float, row)):
            return row
    elif len(row) == 1 and _is_finite(row[0]):
        return float(row[0])
    raise EngineError(
        f"Label {label!r:.60} is not {wanted}, as {problem} takes it.", hint=f"Write them as in labels={example}."
    )


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_float(value: Any) -> bool:
    return _is_finite(value) and not isinstance(value, Integral)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
