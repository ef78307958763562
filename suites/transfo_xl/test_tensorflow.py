"""Upstream's TensorFlow classes: their forward passes work on every transformers 4, their generation on none.

`test_classification` and `test_batches` compare their classifier with torch's snapshots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels.engines.upstream import release_at_least
from suites.transfo_xl import PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, ModelCache

pytestmark = [
    pytest.mark.hf_model("tiny-transfo-xl", engines=["tensorflow"]),
    pytest.mark.skipif(
        release_at_least("5.0"),
        reason="transformers 5.0 removed TensorFlow: to run this, install transformers<5 and tensorflow",
    ),
]


def test_the_language_model_computes_what_torch_does(hf_model: HFModel, hf_models: ModelCache) -> None:
    ids = hf_model.tokenizer.encode(PROMPT)

    found = hf_model.forward([ids]).logits

    np.testing.assert_allclose(found, hf_models.load("tiny-transfo-xl").forward([ids]).logits, atol=1e-4)


@pytest.mark.hf_engine_xfail(
    "tensorflow",
    reason="upstream's prepare_inputs_for_generation returns no words, in every release: generate with torch",
    raises=ValueError,
)
def test_the_class_generates(hf_model: HFModel) -> None:
    ids = hf_model.loaded.tensor([hf_model.tokenizer.encode("My name is")])

    found = hf_model.model.generate(ids, max_new_tokens=3, pad_token_id=0)

    assert found.shape == (1, 6)
