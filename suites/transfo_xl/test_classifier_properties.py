"""Properties of the classifier: which word it reads, its loss for every problem type, its gradients.

It reads the word before the first padding token, or the last word if there is none. GPT-2 reads the right-most word
that is not padding; the two rules differ only if the padding token is inside a text.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.foundation.errors import CheckpointError
from pytest_hfmodels.properties import (
    check_classifier_loss,
    check_gradients,
    check_pooling,
    labelled_texts,
    padded_texts,
)
from pytest_hfmodels.properties.profiles import examples
from pytest_hfmodels.reference import Rules
from suites.drawn import PAD
from suites.label_shapes import KINDS, misread, of_every_shape_and_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.properties import LabelSet, PaddedTexts
    from pytest_hfmodels.reference.losses import ProblemType

WORDS = 24  # of the drawn checkpoint
OUTPUTS = (1, 2, 3, 5)
EOS, BUNDLED_WORDS = 0, 1000

pytestmark = pytest.mark.hf_model(
    "tiny-transfo-xl", task="text-classification", engines=["torch", "tensorflow"], pad_token_id=EOS
)
torch_only = pytest.mark.hf_model("tiny-transfo-xl", task="text-classification", pad_token_id=EOS)
counts = st.sampled_from(OUTPUTS)
batches = padded_texts(WORDS, PAD, sides=["right"])


@examples(12)
@given(batch=batches, count=counts)
def test_the_last_word_is_read_with_padding_on_the_right(
    drawn: Callable[..., HFModel], batch: PaddedTexts, count: int
) -> None:
    violation = check_pooling(drawn(count), batch.ids)

    assert violation is None, str(violation)


@examples(12)
@given(batch=padded_texts(WORDS, PAD, sides=["left"]), count=counts)
def test_the_last_word_is_read_with_padding_on_the_left(
    drawn: Callable[..., HFModel], batch: PaddedTexts, count: int
) -> None:
    violation = check_pooling(drawn(count), batch.ids)

    assert violation is None, str(violation)


@examples(12)
@given(batch=padded_texts(WORDS, PAD, pad_inside=True), count=counts)
def test_the_word_before_the_first_padding_token_is_read(
    drawn: Callable[..., HFModel], batch: PaddedTexts, count: int
) -> None:
    violation = check_pooling(drawn(count), batch.ids, rules=Rules(pooling="first-padding"))

    assert violation is None, str(violation)


@examples(4)
@given(batch=padded_texts(BUNDLED_WORDS, EOS, sides=["right"], lengths=(1, 20)))
def test_the_trained_classifier_reads_the_last_word(hf_model: HFModel, batch: PaddedTexts) -> None:
    violation = check_pooling(hf_model, batch.ids)

    assert violation is None, str(violation)


@examples(20)
@given(example=labelled_texts(batches, num_labels=OUTPUTS, one_number=True, ignored=False))
def test_the_loss_of_classes_and_of_one_number(
    drawn: Callable[..., HFModel], example: tuple[PaddedTexts, LabelSet]
) -> None:
    """One number per text, because both engines have a loss for it."""
    batch, labels = example

    violation = check_classifier_loss(drawn(labels.num_labels), batch.ids, labels)

    assert violation is None, str(violation)


@torch_only
@examples(40)
@given(example=labelled_texts(batches, num_labels=OUTPUTS))
def test_the_loss_is_that_of_the_problem_type_given_or_inferred(
    drawn: Callable[..., HFModel], example: tuple[PaddedTexts, LabelSet]
) -> None:
    batch, labels = example
    model = drawn(labels.num_labels)
    before = model.config.to_dict()

    violation = check_classifier_loss(model, batch.ids, labels)

    assert violation is None, str(violation)
    assert model.config.to_dict() == before


@torch_only
@examples(5)
@given(
    example=labelled_texts(padded_texts(BUNDLED_WORDS, EOS, sides=["right"], lengths=(1, 20), batch=4), num_labels=[8])
)
def test_the_loss_of_the_trained_classifier(hf_model: HFModel, example: tuple[PaddedTexts, LabelSet]) -> None:
    batch, labels = example

    violation = check_classifier_loss(hf_model, batch.ids, labels)

    assert violation is None, str(violation)


@torch_only
@examples(3)
@given(example=labelled_texts(batches, num_labels=OUTPUTS), seed=st.integers(0, 999))
def test_gradients_are_the_slopes_of_the_loss(
    drawn: Callable[..., HFModel], example: tuple[PaddedTexts, LabelSet], seed: int
) -> None:
    batch, labels = example
    model = drawn(labels.num_labels, dtype="float64", problem_type=labels.problem_type)
    values = labels.array.astype(np.float64) if labels.dtype == "float32" else labels.array

    violation = check_gradients(model, batch.ids, values, seed=seed)

    assert violation is None, str(violation)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param([0, 1], id="labelled"),
        pytest.param(
            None,
            id="unlabelled",
            marks=pytest.mark.hf_engine_xfail(
                "tensorflow",
                reason="upstream needs a padding token only with labels",
                raises=pytest.fail.Exception,
            ),
        ),
    ],
)
def test_several_texts_are_refused_without_a_padding_token(without_pad: HFModel, labels: list[int] | None) -> None:
    ids = np.asarray([[1, 2, 3], [4, 5, 6]])

    with pytest.raises((AssertionError, CheckpointError), match=r"(no|without a) padding token"):
        without_pad.loaded.classify(ids, None, None if labels is None else np.asarray(labels), None)


@torch_only
def test_one_text_needs_no_padding_token(without_pad: HFModel) -> None:
    violation = check_pooling(without_pad, np.asarray([[4, 7, 9]]))

    assert violation is None, str(violation)


@torch_only
@pytest.mark.parametrize(("count", "given_type"), KINDS, ids=str)
def test_labels_of_any_shape_and_dtype_behave_as_in_torchs_own_loss(
    drawn: Callable[..., HFModel], count: int, given_type: ProblemType | None
) -> None:
    assert misread(drawn(count), of_every_shape_and_dtype(count), given_type) == []


@torch_only
@pytest.mark.parametrize(("count", "labels", "dtype"), [(3, [0, 2, 1], "int64"), (1, [0.5, -1.0, 2.0], "float32")])
def test_labels_write_only_the_problem_type(drawn: Callable[..., HFModel], count: int, labels: Any, dtype: str) -> None:
    """Upstream's class writes it, ours does not."""
    model = drawn(count)
    inner = copy.deepcopy(model.model)
    before = inner.config.to_dict()

    inner(model.loaded.tensor([[1, 2], [3, 4], [5, 6]]), labels=model.loaded.tensor(np.asarray(labels, dtype)))

    assert {name for name, value in inner.config.to_dict().items() if value != before.get(name)} <= {"problem_type"}
