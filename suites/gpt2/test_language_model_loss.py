"""The language model's loss: the mean cross entropy over the counted labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.properties import (
    check_gradients,
    check_language_model_loss,
    next_token_labels,
    padded_texts,
)
from pytest_hfmodels.properties.calls import labelled, takes
from pytest_hfmodels.properties.profiles import examples
from suites.gpt2 import EOS, PROMPT

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines.base import IntArray
    from pytest_hfmodels.properties import PaddedTexts

PAD, WORDS, IGNORED = 7, 30, -100


def with_labels(batch: PaddedTexts) -> st.SearchStrategy[tuple[PaddedTexts, IntArray]]:
    return st.tuples(st.just(batch), next_token_labels(batch))


@pytest.fixture(scope="session", params=["float16", "bfloat16"])
def half_gpt2(
    hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path], request: pytest.FixtureRequest
) -> HFModel:
    """The drawn GPT-2 in half precision: its logits are rounded, its loss must not be."""
    return hf_models.load(drawn_checkpoints["gpt2"], engine=hf_model.engine, dtype=request.param)


examples_drawn = padded_texts(WORDS, PAD, lengths=(2, 8)).flatmap(with_labels)
examples_bundled = padded_texts(EOS + 1, EOS, lengths=(2, 20), batch=4).flatmap(with_labels)


@examples(40)
@given(example=examples_drawn)
def test_the_loss_is_the_mean_over_the_counted_labels(
    flat_gpt2: HFModel, example: tuple[PaddedTexts, IntArray]
) -> None:
    batch, labels = example

    violation = check_language_model_loss(flat_gpt2, batch.ids, labels, mask=batch.mask)

    assert violation is None, str(violation)


@examples(6)
@given(example=examples_bundled)
def test_the_loss_of_the_trained_model_is_the_mean_over_the_counted_labels(
    gpt2: HFModel, example: tuple[PaddedTexts, IntArray]
) -> None:
    batch, labels = example

    violation = check_language_model_loss(gpt2, batch.ids, labels, mask=batch.mask)

    assert violation is None, str(violation)


@pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
@examples(15)
@given(example=examples_drawn)
def test_the_loss_of_half_precision_is_computed_in_float32(
    half_gpt2: HFModel, example: tuple[PaddedTexts, IntArray]
) -> None:
    batch, labels = example

    violation = check_language_model_loss(half_gpt2, batch.ids, labels, mask=batch.mask)

    assert violation is None, str(violation)


@examples(15)
@given(example=examples_drawn, items=st.integers(1, 40))
def test_num_items_in_batch_divides_the_sum(
    flat_gpt2: HFModel, example: tuple[PaddedTexts, IntArray], items: int
) -> None:
    require_items(flat_gpt2)
    batch, labels = example

    violation = check_language_model_loss(flat_gpt2, batch.ids, labels, mask=batch.mask, num_items_in_batch=items)

    assert violation is None, str(violation)


def test_the_losses_of_an_accumulated_batch_add_up_to_the_loss_of_the_whole(flat_gpt2: HFModel) -> None:
    require_items(flat_gpt2)
    ids = np.asarray([[1, 2, 3, 4, 5], [6, 8, 9, 10, 11], [12, 13, 14, 15, 16]])
    labels = np.where(ids > 13, IGNORED, ids)
    counted = int((labels[:, 1:] != IGNORED).sum())

    parts = [
        labelled(flat_gpt2, ids[rows], None, labels[rows], num_items_in_batch=counted)["loss"]
        for rows in (slice(0, 1), slice(1, 3))
    ]

    assert float(sum(parts)) == pytest.approx(float(labelled(flat_gpt2, ids, None, labels)["loss"]), abs=1e-5)


@pytest.mark.parametrize("position", [1, 5, 13])
def test_the_loss_of_one_label_is_minus_its_log_probability(gpt2: HFModel, position: int) -> None:
    ids = gpt2.tokenizer.encode(PROMPT)
    labels = np.full((1, len(ids)), IGNORED)
    labels[0, position] = ids[position]

    loss = labelled(gpt2, np.asarray([ids]), None, labels)["loss"]

    expected = -gpt2.log_probabilities([ids])[0, position - 1, ids[position]]
    assert float(loss.mean()) == pytest.approx(expected, abs=1e-5)


def test_the_label_of_the_first_token_does_not_count(flat_gpt2: HFModel) -> None:
    ids = np.asarray([[1, 2, 3]])

    losses = [float(labelled(flat_gpt2, ids, None, np.asarray([[first, 2, 3]]))["loss"].mean()) for first in (1, 9)]

    assert losses[0] == losses[1]


def test_the_loss_without_labels_is_nan(flat_gpt2: HFModel) -> None:
    loss = labelled(flat_gpt2, np.asarray([[1, 2, 3]]), None, np.full((1, 3), IGNORED))["loss"]

    assert math.isnan(float(loss.mean()))


@pytest.mark.hf_model("tiny-gpt2")
def test_gradients_are_the_slopes_of_the_loss(
    hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]
) -> None:
    exact = hf_models.load(drawn_checkpoints["gpt2"], engine=hf_model.engine, dtype="float64")
    ids = np.asarray([[1, 2, 3, 4, 5], [6, 8, 9, 10, 11]])

    # The loss is computed in float32, so a central difference needs a longer step and is less exact.
    violation = check_gradients(exact, ids, np.where(ids == 3, IGNORED, ids), step=3e-3, tolerance=1e-3)

    assert violation is None, str(violation)


def require_items(model: HFModel) -> None:
    if not takes(model, "num_items_in_batch"):
        pytest.skip(
            f"{model.engine}'s GPT-2 of this release has no num_items_in_batch: run it with torch, transformers>=4.49"
        )
