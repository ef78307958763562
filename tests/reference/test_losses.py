from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import missing
from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.reference import (
    bce_with_logits,
    classifier_loss,
    cross_entropy,
    infer_problem_type,
    mean_squared_error,
    next_token_loss,
)

if TYPE_CHECKING:
    from pytest_hfmodels.reference.losses import Reduction

LOGITS = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]])


def test_cross_entropy_is_the_mean_over_labels_that_count() -> None:
    labels = np.array([0, -100, 2])

    assert cross_entropy(LOGITS, labels) == pytest.approx(-np.log([0.5, 0.6]).mean())
    assert cross_entropy(LOGITS, labels, reduction="sum") == pytest.approx(-np.log([0.5, 0.6]).sum())
    np.testing.assert_allclose(cross_entropy(LOGITS, labels, reduction="none"), -np.log([0.5, 1, 0.6]))
    assert cross_entropy(LOGITS[::2], labels[::2], ignore_index=2) == pytest.approx(-np.log(0.5))
    assert np.isnan(cross_entropy(LOGITS[:1], np.array([-100])))


def test_bce_is_the_mean_over_rows_and_labels() -> None:
    logits, labels = np.log([[1.0, 3.0]]), np.array([[1.0, 0.0]])  # probabilities 1/2 and 3/4

    assert bce_with_logits(logits, labels) == pytest.approx(-np.log([0.5, 0.25]).mean())
    np.testing.assert_allclose(bce_with_logits(logits, labels, reduction="none"), [-np.log([0.5, 0.25])])
    assert np.isfinite(bce_with_logits(np.array([1000.0]), np.array([0.0])))


def test_the_squared_error() -> None:
    assert mean_squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0])) == 2.5
    assert mean_squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0]), reduction="sum") == 5


def test_a_language_model_is_judged_by_the_next_word() -> None:
    assert next_token_loss(LOGITS[np.newaxis], np.array([[2, 0, 1]])) == pytest.approx(-np.log([0.5, 0.1]).mean())


def test_the_problem_follows_from_the_labels() -> None:
    assert infer_problem_type(1, np.array([0.5])) == "regression"
    assert infer_problem_type(3, np.array([2])) == "single_label_classification"
    assert infer_problem_type(3, np.array([[0.0, 1.0, 1.0]])) == "multi_label_classification"
    with pytest.raises(HFModelsError, match="'ranking' is not a problem type"):
        classifier_loss(LOGITS, np.array([0, 1, 2]), "ranking")  # type: ignore[arg-type]


@pytest.mark.skipif(missing("torch") is not None, reason="install torch")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torch_agrees(reduction: Reduction) -> None:
    import torch
    from torch.nn import functional

    random = np.random.default_rng(3)
    logits, values = random.standard_normal((7, 5)), random.random((7, 5))
    labels = random.integers(0, 5, 7)
    labels[2] = -100

    def of(function: Any, target: Any) -> Any:
        return function(torch.as_tensor(logits), torch.as_tensor(target), reduction=reduction).numpy()

    ours, theirs = cross_entropy(logits, labels, reduction=reduction), of(functional.cross_entropy, labels)
    np.testing.assert_allclose(ours, theirs)
    ours, theirs = (
        bce_with_logits(logits, values, reduction=reduction),
        of(functional.binary_cross_entropy_with_logits, values),
    )
    np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(mean_squared_error(logits, values, reduction=reduction), of(functional.mse_loss, values))
