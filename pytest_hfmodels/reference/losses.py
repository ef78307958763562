"""The losses that models compute from labels, by their definitions; NumPy arrays in, float64 out.

If the configuration has no problem type, it is inferred from the labels, as upstream does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.reference.search import log_softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_hfmodels.reference.search import FloatArray

Reduction = Literal["mean", "sum", "none"]
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]
IGNORED = -100


def cross_entropy(
    logits: NDArray[Any],
    labels: NDArray[Any],
    *,
    reduction: Reduction = "mean",
    ignore_index: int = IGNORED,
) -> FloatArray:
    """Return -log p(label).

    Args:
        logits: (..., C).
        labels: class indices, (...).
        reduction: `mean` divides by the number of labels that are not ignored, and is NaN if all are.
        ignore_index: a label that costs nothing and is not counted.
    """
    counted = labels != ignore_index
    chosen = np.where(counted, labels, 0)[..., np.newaxis]
    losses = -np.take_along_axis(log_softmax(logits), chosen, axis=-1)[..., 0]
    losses = np.where(counted, losses, 0.0)
    if reduction == "mean":
        return np.asarray(losses.sum() / counted.sum() if counted.any() else np.nan)
    return _reduced(losses, reduction)


def bce_with_logits(logits: NDArray[Any], labels: NDArray[Any], *, reduction: Reduction = "mean") -> FloatArray:
    """Return -y·log s(x) - (1 - y)·log(1 - s(x)) = log(1 + e^x) - x·y, s the logistic function.

    Args:
        logits: (..., C).
        labels: 0 to 1, (..., C).
        reduction: over all entries.
    """
    x = np.asarray(logits, np.float64)
    return _reduced(np.logaddexp(0.0, x) - x * labels, reduction)


def mean_squared_error(predictions: NDArray[Any], labels: NDArray[Any], *, reduction: Reduction = "mean") -> FloatArray:
    """Return (x - y)^2.

    Args:
        predictions: any shape.
        labels: the same shape.
        reduction: over all entries.
    """
    difference: FloatArray = np.asarray(predictions, np.float64) - labels
    return _reduced(difference**2, reduction)


def next_token_loss(logits: NDArray[Any], labels: NDArray[Any]) -> FloatArray:
    """Return a language model's loss: mean cross entropy of every token after the first, given those before.

    Args:
        logits: (B, L, V).
        labels: ids, (B, L); -100 is ignored.
    """
    return cross_entropy(logits[:, :-1], labels[:, 1:])


def infer_problem_type(num_labels: int, labels: NDArray[Any]) -> ProblemType:
    """Return the problem type that a classifier infers from labels.

    Args:
        num_labels: the number of its outputs; one means regression.
        labels: whole numbers are classes, others one value for each class.
    """
    if num_labels == 1:
        return "regression"
    whole = np.issubdtype(labels.dtype, np.integer)
    return "single_label_classification" if whole else "multi_label_classification"


def classifier_loss(logits: NDArray[Any], labels: NDArray[Any], problem_type: ProblemType | None = None) -> FloatArray:
    """Return the mean loss of a sequence classifier, as upstream's torch classes define it.

    Args:
        logits: one row a text, (B, C).
        labels: (B,) for classes and for regression with C = 1, (B, C) otherwise.
        problem_type: as in the configuration; None infers it.

    Raises:
        HFModelsError: the problem type is unknown.
    """
    kind = problem_type or infer_problem_type(logits.shape[-1], labels)
    if kind == "regression":
        shape = (-1,) if logits.shape[-1] == 1 else logits.shape
        return mean_squared_error(logits.reshape(shape), labels.astype(np.float64).reshape(shape))
    if kind == "single_label_classification":
        return cross_entropy(logits, labels.astype(np.int64).reshape(-1))
    if kind == "multi_label_classification":
        return bce_with_logits(logits, labels.astype(np.float64))
    raise HFModelsError(
        f"{kind!r} is not a problem type.",
        hint="Use regression, single_label_classification or multi_label_classification.",
    )


def _reduced(losses: FloatArray, reduction: Reduction) -> FloatArray:
    if reduction == "none":
        return losses
    return np.asarray(losses.mean() if reduction == "mean" else losses.sum())
