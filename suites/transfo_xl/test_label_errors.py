"""Labels that do not fit: the errors of `classify`, and of the model called directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import EngineError
from suites.transfo_xl import DOG, NAME

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

pytestmark = pytest.mark.hf_model("tiny-transfo-xl", task="text-classification")
SINGLE, MULTI = "single_label_classification", "multi_label_classification"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        pytest.param([99], "Label 99 is outside the model's 8 classes", id="too-large"),
        pytest.param([8], "Label 8 is outside the model's 8 classes", id="one-too-large"),
        pytest.param([-100], "Label -100 is outside the model's 8 classes", id="the-ignored-one"),
        pytest.param([0.5], "Label 0.5 is not a class index", id="a-float"),
        pytest.param([True], "Label True is not a class index", id="a-truth-value"),
        pytest.param(["bug"], "The model has no label 'bug'", id="an-unknown-name"),
        pytest.param([[1]], r"Label \[1\] is not a class index", id="a-row"),
        pytest.param([1, 2], "Number of labels: 2; number of texts: 1", id="too-many"),
        pytest.param([], "Number of labels: 0; number of texts: 1", id="none"),
        pytest.param(1, "labels=1 is not a list with one label per text", id="no-list"),
    ],
)
def test_a_class_index_that_does_not_fit_is_named(hf_model: HFModel, labels: Any, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        hf_model.classify(NAME, labels=labels, problem_type=SINGLE)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        pytest.param([[1.0, 0.0]], r"Label \[1.0, 0.0\] is not a row of 8 floats", id="too-few-columns"),
        pytest.param([[1.0] * 9], "is not a row of 8 floats", id="too-many-columns"),
        pytest.param([[1, 0, 0, 1, 0, 0, 0, 0]], "is not a row of 8 floats", id="whole-numbers"),
        pytest.param([[float("nan")] + [0.0] * 7], "is not a row of 8 floats", id="nan"),
        pytest.param([1], "Label 1 is not a row of 8 floats", id="a-class-index"),
        pytest.param([[0.0] * 8] * 2, "Number of labels: 2; number of texts: 1", id="too-many-rows"),
    ],
)
def test_a_row_that_does_not_fit_is_named(hf_model: HFModel, labels: Any, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        hf_model.classify(DOG, labels=labels, problem_type=MULTI)


def test_an_unknown_problem_type_is_an_error(hf_model: HFModel) -> None:
    with pytest.raises(EngineError, match="Unknown problem_type 'multi_label'") as raised:
        hf_model.classify(DOG, labels=[1], problem_type="multi_label")

    assert MULTI in raised.value.hint


# From here on, the model called directly: upstream's and ours give the same errors, because they are torch's.


@pytest.mark.parametrize(
    ("labels", "error", "said"),
    [
        pytest.param([99], IndexError, "Target 99 is out of bounds", id="out-of-range"),
        pytest.param([1, 2], ValueError, r"input batch_size \(1\) to match target batch_size \(2\)", id="shape"),
    ],
)
def test_the_model_called_directly_refuses_a_class_index(
    hf_model: HFModel, monkeypatch: pytest.MonkeyPatch, labels: list[int], error: type[Exception], said: str
) -> None:
    monkeypatch.setattr(hf_model.config, "problem_type", SINGLE)

    with pytest.raises(error, match=said):
        hf_model.model(**hf_model.tokenizer(NAME, return_tensors="pt"), labels=hf_model.loaded.tensor(labels))


@pytest.mark.parametrize(
    ("labels", "error", "said"),
    [
        pytest.param([[1, 0, 0, 1, 0, 0, 0, 0]], RuntimeError, "result type Float can't be cast", id="whole-numbers"),
        pytest.param([[1.0, 0.0]], ValueError, r"Target size .*must be the same as input size", id="shape"),
    ],
)
def test_the_model_called_directly_refuses_a_row(
    hf_model: HFModel, monkeypatch: pytest.MonkeyPatch, labels: list[list[float]], error: type[Exception], said: str
) -> None:
    import torch

    monkeypatch.setattr(hf_model.config, "problem_type", MULTI)

    with pytest.raises(error, match=said):
        hf_model.model(**hf_model.tokenizer(DOG, return_tensors="pt"), labels=torch.tensor(labels))
