"""The published `transfo-xl/transfo-xl-wt103`: 267,735 words, without a trained classification head.

These tests run if the pinned revision is in the local Hub cache, or with `--hfmodels-checkpoints hub`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from suites.transfo_xl import DOG, NAME

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

pytestmark = pytest.mark.hf_model("transfo-xl/transfo-xl-wt103")


def classifier(**how: object) -> pytest.MarkDecorator:
    return pytest.mark.hf_model("transfo-xl/transfo-xl-wt103", task="text-classification", head="fixed", **how)


def test_ids(hf_model: HFModel) -> None:
    assert hf_model.tokenizer.encode(NAME) == [1162, 237, 23, 24]


def test_the_language_model_knows_every_word(hf_model: HFModel) -> None:
    ids = hf_model.tokenizer.encode(NAME)

    assert hf_model.forward([ids]).logits.shape == (1, 4, 267735)


@classifier()
def test_single_label_shapes(hf_model: HFModel) -> None:
    record = hf_model.classify(NAME, labels=[1])

    assert np.shape(record.logits) == (1, 2)
    assert hf_model.config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert record.labels[0] in ("LABEL_0", "LABEL_1")
    assert record.loss is not None


@classifier(num_labels=5)
def test_num_labels_given_at_load_sets_the_width(hf_model: HFModel) -> None:
    assert np.shape(hf_model.classify(NAME).logits) == (1, 5)


@classifier(num_labels=3, problem_type="multi_label_classification")
def test_multi_label_shapes(hf_model: HFModel) -> None:
    record = hf_model.classify(DOG, labels=[[1.0, 0.0, 1.0]])

    assert np.shape(record.logits) == (1, 3)
    assert set(record.inputs[0].labels) <= {"LABEL_0", "LABEL_1", "LABEL_2"}
    assert record.loss is not None
