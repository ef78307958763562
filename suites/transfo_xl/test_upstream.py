"""Upstream's class: snapshots/upstream.toml says from which release on it breaks, and which release removed it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel


def test_forward(transfo_xl: HFModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 4.57 says at import that the model is deprecated
        from transformers import TransfoXLLMHeadModel

        model = TransfoXLLMHeadModel.from_pretrained(str(transfo_xl.checkpoint.folder)).eval()
    ids = transfo_xl.loaded.tensor([transfo_xl.tokenizer.encode("My name is Hasnain")])

    scores = model(ids).prediction_scores

    assert scores.shape == (1, 4, model.config.vocab_size)
