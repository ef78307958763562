"""Checks that a classifier accepts or refuses labels of any shape and dtype as torch's own losses do."""

from __future__ import annotations

import copy
import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.properties.calls import evaluating
from pytest_hfmodels.properties.labels import PROBLEM_TYPES
from pytest_hfmodels.reference import infer_problem_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.reference.losses import ProblemType

SINGLE, MULTI, REGRESSION = PROBLEM_TYPES
KINDS: tuple[tuple[int, ProblemType | None], ...] = (
    *((1, kind) for kind in (None, REGRESSION, MULTI)),
    *((3, kind) for kind in (None, REGRESSION, SINGLE, MULTI)),
)
DTYPES = ("int64", "int32", "float32", "float64")
TEXTS = 3
SHAPES = {  # by the number of outputs
    count: (
        (TEXTS,),
        (TEXTS, 1),
        (TEXTS, count),
        (TEXTS + 1,),
        (TEXTS - 1,),
        (TEXTS, count + 1),
        (TEXTS - 1, count),
        (1, count),
        (1,),
    )
    for count in (1, 3)
}
IDS = np.asarray([[1, 2], [3, 4], [5, 6]])


def misread(model: HFModel, labels: Iterable[NDArray[Any]], problem_type: ProblemType | None) -> list[str]:
    """Describe the labels for which the model behaves differently from torch's own loss.

    Args:
        model: a torch classifier.
        labels: of three texts, or of a wrong shape.
        problem_type: as in the configuration; None is inferred.
    """
    inner = copy.deepcopy(model.model)  # upstream writes into the configuration
    tensor = model.loaded.tensor
    logits = tensor(model.loaded.classify(IDS, None, None, None).logits.astype(np.float32))
    wrong = []
    with evaluating(inner):
        for given in labels:
            kind = problem_type or infer_problem_type(logits.shape[1], given)
            inner.config.problem_type = problem_type
            found = outcome(lambda own: inner(tensor(IDS), labels=own).loss, tensor(given))
            expected = outcome(partial(LOSSES[kind], logits), tensor(given))
            if not alike(found, expected):
                wrong.append(f"{given.dtype} {given.shape}: {found} and not {expected}")
    return wrong


def of_every_shape_and_dtype(count: int) -> list[NDArray[Any]]:
    """Return labels of every shape in `SHAPES` and every dtype in `DTYPES`, for a classifier of `count` labels."""
    return [
        (np.arange(np.prod(shape)) % count).reshape(shape).astype(dtype) for shape in SHAPES[count] for dtype in DTYPES
    ]


def outcome(loss: Callable[[Any], Any], labels: Any) -> float | tuple[type[Exception], str]:
    """Return the loss, or the error's class and message; torch warns if it broadcasts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return float(loss(labels))
    except (IndexError, RuntimeError, ValueError, UserWarning) as error:
        return type(error), str(error)


def alike(found: float | tuple[type[Exception], str], expected: float | tuple[type[Exception], str]) -> bool:
    """Return whether both are the same error, or losses that agree."""
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, abs_tol=1e-5)
    return found == expected


def cross_entropy(logits: Any, labels: Any) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(logits, labels.view(-1))


def binary_cross_entropy(logits: Any, labels: Any) -> Any:
    from torch.nn import functional

    return functional.binary_cross_entropy_with_logits(logits, labels)


def squared_error(logits: Any, labels: Any) -> Any:
    """With a single output, its column is a row with one number per text."""
    from torch.nn import functional

    pair = (logits, labels) if logits.shape[1] > 1 else (logits.squeeze(), labels.squeeze())
    return functional.mse_loss(*pair)


LOSSES: dict[ProblemType, Callable[[Any, Any], Any]] = {
    SINGLE: cross_entropy,
    MULTI: binary_cross_entropy,
    REGRESSION: squared_error,
}
