"""Outputs of the published GPT-2 (124M), as first printed in 2025 by a tutorial on transformers' `main` branch.

They run if the pinned revision is in the local Hub cache, or with `--hfmodels-checkpoints hub`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

pytestmark = pytest.mark.hf_model("openai-community/gpt2", engines=["torch", "tensorflow"], pad_token_id=50256)

GREEDY = (
    "My name is Hasnain and I am a software engineer. I am a member of the Open Source Software Foundation. "
    "I am a member of the Open Source Software Foundation. I am a member of the Open Source Software Foundation. "
    "I am a member"
)
BEAM = (
    "My name is Hasnain and I am a software engineer. I have been working in the IT industry for over 20 years. "
    "I have a passion for software development and have worked on many projects over the past few years, including:"
)


def folded(text: str) -> str:
    return " ".join(text.split())


def test_eos(hf_model: HFModel) -> None:
    assert hf_model.tokenizer.eos_token_id == 50256


def test_greedy(hf_model: HFModel) -> None:
    record = hf_model.generate(PROMPT, max_length=50)

    assert folded(record.text) == GREEDY


def test_beam(hf_model: HFModel) -> None:
    record = hf_model.generate(
        PROMPT, max_length=50, num_beams=5, no_repeat_ngram_size=2, early_stopping=True, skip_special_tokens=True
    )

    assert folded(record.text) == BEAM
