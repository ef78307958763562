"""Properties of the classifier: which token it reads, and its loss, with bundled and with drawn weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.properties import (
    check_classifier_loss,
    check_pooling,
    labelled_texts,
    padded_texts,
)
from pytest_hfmodels.properties.profiles import examples
from suites.drawn import PAD
from suites.gpt2 import EOS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.properties import LabelSet, PaddedTexts

WORDS = 30  # of the drawn checkpoint
OUTPUTS = (1, 2, 3, 5)

pytestmark = pytest.mark.hf_model(
    "tiny-gpt2", task="text-classification", engines=["torch", "tensorflow"], pad_token_id=EOS
)
counts = st.sampled_from(OUTPUTS)


@examples(15)
@given(batch=padded_texts(WORDS, PAD, sides=["right"]), masked=st.booleans(), count=counts)
def test_the_last_token_is_read_with_padding_on_the_right(
    drawn: Callable[[int], HFModel], batch: PaddedTexts, masked: bool, count: int
) -> None:
    violation = check_pooling(drawn(count), batch.ids, batch.mask if masked else None)

    assert violation is None, str(violation)


def test_the_padding_token_may_be_id_0(
    hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]
) -> None:
    model = hf_models.load(
        drawn_checkpoints["gpt2"], task="text-classification", engine=hf_model.engine, pad_token_id=0
    )

    violation = check_pooling(model, np.asarray([[4, 9, 0, 0], [5, 0, 0, 0], [3, 8, 2, 6]]))

    assert violation is None, str(violation)


@examples(15)
@given(batch=padded_texts(WORDS, PAD, sides=["left"]), masked=st.booleans(), count=counts)
def test_the_last_token_is_read_with_padding_on_the_left(
    drawn: Callable[[int], HFModel], batch: PaddedTexts, masked: bool, count: int
) -> None:
    violation = check_pooling(drawn(count), batch.ids, batch.mask if masked else None)

    assert violation is None, str(violation)


@examples(15)
@given(batch=padded_texts(WORDS, PAD, pad_inside=True), masked=st.booleans(), count=counts)
def test_the_last_token_is_read_with_the_padding_token_inside_a_text(
    drawn: Callable[[int], HFModel], batch: PaddedTexts, masked: bool, count: int
) -> None:
    violation = check_pooling(drawn(count), batch.ids, batch.mask if masked else None)

    assert violation is None, str(violation)


@examples(5)
@given(batch=padded_texts(EOS + 1, EOS, sides=["right"], lengths=(1, 20)), masked=st.booleans())
def test_the_trained_classifier_reads_the_last_token(hf_model: HFModel, batch: PaddedTexts, masked: bool) -> None:
    violation = check_pooling(hf_model, batch.ids, batch.mask if masked else None)

    assert violation is None, str(violation)


@examples(25)
@given(
    example=labelled_texts(
        padded_texts(WORDS, PAD, sides=["right"]), num_labels=OUTPUTS, one_number=True, ignored=False
    )
)
def test_the_loss_of_classes_and_of_one_number(
    drawn: Callable[[int], HFModel], example: tuple[PaddedTexts, LabelSet]
) -> None:
    """One number per text, because both engines have a loss for it."""
    batch, labels = example

    violation = check_classifier_loss(drawn(labels.num_labels), batch.ids, labels, mask=batch.mask)

    assert violation is None, str(violation)


@examples(4)
@given(
    example=labelled_texts(
        padded_texts(EOS + 1, EOS, sides=["right"], lengths=(1, 20)), num_labels=[8], one_number=True, ignored=False
    )
)
def test_the_loss_of_the_trained_classifier(hf_model: HFModel, example: tuple[PaddedTexts, LabelSet]) -> None:
    batch, labels = example

    violation = check_classifier_loss(hf_model, batch.ids, labels, mask=batch.mask)

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

    with pytest.raises((ValueError, AssertionError), match="no padding token is defined"):
        without_pad.loaded.classify(ids, None, None if labels is None else np.asarray(labels), None)


def test_one_text_needs_no_padding_token(without_pad: HFModel) -> None:
    violation = check_pooling(without_pad, np.asarray([[4, 7, 9]]))

    assert violation is None, str(violation)
