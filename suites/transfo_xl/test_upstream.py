"""Upstream's own class: works through 4.37.2, raises on every forward pass after, and is gone from 5.0."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines.upstream import release_at_least

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

GONE = "transformers 5.0 removed Transformer-XL; ours runs: see the other tests of this folder"
BROKEN = "every torch forward pass from 4.38 on: type_as() without its argument (huggingface/transformers, unfixed)"


@pytest.mark.skipif(release_at_least("5.0"), reason=GONE)
@pytest.mark.xfail(release_at_least("4.38"), raises=TypeError, strict=True, reason=BROKEN)
def test_forward(transfo_xl: HFModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 4.57 says at import that the model is deprecated
        from transformers import TransfoXLLMHeadModel

        model = TransfoXLLMHeadModel.from_pretrained(str(transfo_xl.checkpoint.folder)).eval()
    ids = transfo_xl.loaded.tensor([transfo_xl.tokenizer.encode("My name is Hasnain")])

    scores = model(ids).prediction_scores

    assert scores.shape == (1, 4, model.config.vocab_size)
