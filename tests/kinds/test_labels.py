from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModel, ModelCache

from ..surroundings import needs_both_engines

TEXTS = ["Walk the dog.", "No!"]
SINGLE, MULTI = "single_label_classification", "multi_label_classification"


@pytest.fixture
def classifier(models: ModelCache) -> HFModel:
    return models.load("./model", task="text-classification", pad_token_id=256)


@pytest.mark.parametrize(
    ("labels", "problem_type", "said", "hint"),
    [
        ([0], None, "Number of labels: 1; number of texts: 2.", "one label per text"),
        ([], None, "Number of labels: 0; number of texts: 2.", "one label per text"),
        (1, None, "labels=1 is not a list with one label per text", "labels=[0]"),
        ("ab", None, "labels='ab' is not a list with one label per text", "labels=[0]"),
        ({0, 1}, None, "labels={0, 1} is not a list with one label per text", "labels=[0]"),
        ([0, 3], None, "Label 3 is outside the model's 3 classes.", "A class index is 0 to 2"),
        ([0, -1], None, "Label -1 is outside the model's 3 classes.", "A class index is 0 to 2"),
        ([-100, -100], None, "Label -100 is outside the model's 3 classes.", "leave a text without a label out"),
        (["calm", "bug"], None, "The model has no label 'bug'.", "Its labels are calm, curious, cross"),
        ([["calm", "bug"], ["calm"]], None, "The model has no label 'bug'.", "Its labels are calm, curious, cross"),
        ([0, None], None, "Label None is not a class index.", "a whole number from 0 to 2"),
        ([0, True], None, "Label True is not a class index.", "a whole number from 0 to 2"),
        ([0, 1.0], None, "Label 1.0 is not a class index.", "rows of 3 floats"),
        ([[1.0, 0.0, 1.0], [1.0]], None, "Label [1.0] is not a row of 3 floats", "[[1.0, 0.0, 0.0], …]"),
        ([[1.0, 0.0, 1.0], 2], None, "Label 2 is not a row of 3 floats", "[[1.0, 0.0, 0.0], …]"),
        ([[1, 0, 1], [0, 0, 1]], None, "Label [1, 0, 1] is not a row of 3 floats", "[[1.0, 0.0, 0.0], …]"),
        ([[1, 0, 1], [0, 0, 1]], MULTI, "Label [1, 0, 1] is not a row of 3 floats", "[[1.0, 0.0, 0.0], …]"),
        ([0, 1], MULTI, "Label 0 is not a row of 3 floats", "[[1.0, 0.0, 0.0], …]"),
        ([[1.0, 0.0, float("nan")]] * 2, None, "Label [1.0, 0.0, nan] is not a row", "[[1.0, 0.0, 0.0], …]"),
        ([[1.0, 0.0, 0.0]] * 2, SINGLE, "Label [1.0, 0.0, 0.0] is not a class index.", "a whole number from 0 to 2"),
        ([0, 1], "multi", "Unknown problem_type 'multi'.", SINGLE),
        (None, "multi", "Unknown problem_type 'multi'.", SINGLE),
    ],
)
def test_labels_that_do_not_fit_are_named(
    classifier: HFModel, labels: Any, problem_type: str | None, said: str, hint: str
) -> None:
    with pytest.raises(EngineError) as raised:
        classifier.classify(TEXTS, labels=labels, problem_type=problem_type)

    assert said in raised.value.message
    assert hint in raised.value.hint


@pytest.mark.parametrize("labels", [[0, 2], (0, 2), np.array([0, 2]), [np.int64(0), 2]])
def test_class_indices_come_as_any_sequence(classifier: HFModel, labels: Any) -> None:
    loss = classifier.classify(TEXTS, labels=labels, problem_type=SINGLE).loss

    assert loss == classifier.classify(TEXTS, labels=[0, 2]).loss
    assert loss is not None
    assert loss.labels == (0, 2)


@pytest.mark.parametrize(
    ("named", "numbers"),
    [
        (["cross", "calm"], [2, 0]),
        (["cross", 0], [2, 0]),
        ([["calm", "cross"], ["curious"]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
    ],
)
def test_labels_may_be_names(classifier: HFModel, named: Any, numbers: Any) -> None:
    assert classifier.classify(TEXTS, labels=named).loss == classifier.classify(TEXTS, labels=numbers).loss
    assert classifier.classify(TEXTS[0], labels=named[:1]).loss is not None


def test_rows_come_as_an_array(classifier: HFModel) -> None:
    rows = np.array([[1.0, 0.0, 1.0], [0.0, 0.5, 1.0]], dtype=np.float32)

    assert classifier.classify(TEXTS, labels=rows).loss == classifier.classify(TEXTS, labels=rows.tolist()).loss  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [[0.5, 2.0], [[0.5], [2.0]]])
@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_a_regression_on_one_number_is_the_squared_error(
    models: ModelCache, labels: Any, problem_type: str | None
) -> None:
    scorer = models.load("./model", task="text-classification", head="fixed", num_labels=1, pad_token_id=256)

    record = scorer.classify(TEXTS, labels=labels, problem_type=problem_type)

    assert record.loss is not None
    errors = np.array([row[0] for row in record.logits]) - [0.5, 2.0]
    assert record.loss.value == pytest.approx(float((errors**2).mean()), abs=1e-5)
    with pytest.raises(EngineError, match="Label 'x' is not one number, as regression takes it"):
        scorer.classify(TEXTS, labels=[0.5, "x"])


@needs_both_engines
def test_tensorflow_takes_no_rows_of_labels(models: ModelCache) -> None:
    handle = models.load("./model", task="text-classification", engine="tensorflow", pad_token_id=256)

    with pytest.raises(EngineError, match="take one class index per text"):
        handle.classify(TEXTS, labels=[[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
