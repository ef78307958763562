"""The classifier's labels and gradients in torch: every problem type, dtype and shape; what a call changes."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.properties import (
    PaddedTexts,
    check_classifier_loss,
    check_gradients,
    labelled_texts,
    padded_texts,
)
from pytest_hfmodels.properties.calls import evaluating
from pytest_hfmodels.properties.labels import PROBLEM_TYPES
from pytest_hfmodels.properties.profiles import examples
from suites.drawn import PAD
from suites.gpt2 import EOS
from suites.label_shapes import IDS, KINDS, misread, of_every_shape_and_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.properties import LabelSet
    from pytest_hfmodels.reference.losses import ProblemType

WORDS = 30  # of the drawn checkpoint
OUTPUTS = (1, 2, 3, 5)
SINGLE, MULTI, REGRESSION = PROBLEM_TYPES

pytestmark = pytest.mark.hf_model("tiny-gpt2", task="text-classification", engines=["torch"], pad_token_id=EOS)
batches = padded_texts(WORDS, PAD, sides=["right"])


@examples(60)
@given(example=labelled_texts(batches, num_labels=OUTPUTS))
def test_the_loss_is_that_of_the_problem_type_given_or_inferred(
    drawn: Callable[..., HFModel], example: tuple[PaddedTexts, LabelSet]
) -> None:
    batch, labels = example
    model = drawn(labels.num_labels)
    before = model.config.to_dict()

    violation = check_classifier_loss(model, batch.ids, labels, mask=batch.mask)

    assert violation is None, str(violation)
    assert model.config.to_dict() == before


@examples(8)
@given(example=labelled_texts(padded_texts(EOS + 1, EOS, sides=["right"], lengths=(1, 20)), num_labels=[8]))
def test_the_loss_of_the_trained_classifier(hf_model: HFModel, example: tuple[PaddedTexts, LabelSet]) -> None:
    batch, labels = example

    violation = check_classifier_loss(hf_model, batch.ids, labels, mask=batch.mask)

    assert violation is None, str(violation)


@examples(3)
@given(example=labelled_texts(batches, num_labels=OUTPUTS), seed=st.integers(0, 999))
def test_gradients_are_the_slopes_of_the_loss(
    drawn: Callable[..., HFModel], example: tuple[PaddedTexts, LabelSet], seed: int
) -> None:
    batch, labels = example
    model = drawn(labels.num_labels, dtype="float64", problem_type=labels.problem_type)
    values = labels.array.astype(np.float64) if labels.dtype == "float32" else labels.array

    violation = check_gradients(model, batch.ids, values, mask=batch.mask, seed=seed)

    assert violation is None, str(violation)


@pytest.mark.hf_model("tiny-gpt2", task="text-classification", dtype="float64", pad_token_id=EOS)
def test_gradients_of_the_trained_classifier_are_the_slopes_of_its_loss(hf_model: HFModel) -> None:
    texts = [tuple(hf_model.tokenizer.encode(text)) for text in ("My name is Hasnain", "I was going with my dog")]
    batch = PaddedTexts(tuple(texts), EOS, "right")

    violation = check_gradients(hf_model, batch.ids, np.asarray([7, 3]), mask=batch.mask)

    assert violation is None, str(violation)


LABELS = [
    pytest.param(3, [0, 2, 1], "int64", SINGLE, id="classes"),
    pytest.param(3, [[0, 1, 1], [1, 0, 0], [0, 0, 0]], "float32", MULTI, id="rows"),
    pytest.param(1, [0.5, -1.0, 2.0], "float32", REGRESSION, id="numbers"),
]


@pytest.mark.parametrize(("count", "labels", "dtype", "kind"), LABELS)
def test_the_first_labels_write_the_problem_type_and_nothing_else(
    drawn: Callable[..., HFModel], count: int, labels: Any, dtype: str, kind: ProblemType
) -> None:
    """Upstream changes only this field of the configuration; the plugin's `classify` restores it."""
    model = drawn(count)
    inner = copy.deepcopy(model.model)
    before = inner.config.to_dict()

    inner(model.loaded.tensor([[1, 2], [3, 4], [5, 6]]), labels=model.loaded.tensor(np.asarray(labels, dtype)))

    after = inner.config.to_dict()
    assert {name: value for name, value in after.items() if value != before.get(name)} == {"problem_type": kind}


@pytest.mark.parametrize(("count", "given_type"), KINDS, ids=str)
def test_labels_of_any_shape_and_dtype_behave_as_in_torchs_own_loss(
    drawn: Callable[..., HFModel], count: int, given_type: ProblemType | None
) -> None:
    assert misread(drawn(count), of_every_shape_and_dtype(count), given_type) == []


@pytest.mark.parametrize(("label", "refused"), [(3, True), (-1, True), (-100, False)])
def test_an_unknown_class_is_refused_and_the_ignored_one_is_not_counted(
    drawn: Callable[..., HFModel], label: int, refused: bool
) -> None:
    model, labels = drawn(3), np.asarray([0, label, 1])

    assert misread(model, [labels], None) == []
    with pytest.raises(IndexError) if refused else nullcontext():
        model.loaded.classify(IDS, None, labels, None)


def test_a_tuple_holds_the_same_as_the_named_output(drawn: Callable[..., HFModel]) -> None:
    model = drawn(3)
    ids, labels = model.loaded.tensor([[1, 2], [3, 4]]), model.loaded.tensor([2, 0])

    with evaluating(model.model):
        named = copy.deepcopy(model.model)(ids, labels=labels, return_dict=True)
        loss, logits, *_ = copy.deepcopy(model.model)(ids, labels=labels, return_dict=False)

    assert loss.equal(named.loss)
    assert logits.equal(named.logits)


@pytest.mark.filterwarnings("ignore")
def test_input_embeddings_are_read_at_the_last_position(drawn: Callable[..., HFModel]) -> None:
    model = drawn(3)
    ids = np.asarray([[1, 2, 9], [3, 4, 8]])

    with evaluating(model.model):
        vectors = model.model.get_input_embeddings()(model.loaded.tensor(ids))
        found = model.model(inputs_embeds=vectors).logits

    np.testing.assert_allclose(found.numpy(), model.loaded.classify(ids, None, None, None).logits, atol=1e-5)
