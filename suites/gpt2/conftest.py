"""Records that several tests use, generated once per engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import GenerationRecord, HFModel, ModelCache

BEAM: dict[str, Any] = {"max_length": 50, "num_beams": 5, "no_repeat_ngram_size": 2, "early_stopping": True}


@pytest.fixture(scope="session")
def greedy(gpt2: HFModel) -> GenerationRecord:
    """Greedy search: the most likely token at every step."""
    return gpt2.generate(PROMPT, max_length=50)


@pytest.fixture(scope="session")
def greedy_without_bigrams(gpt2: HFModel) -> GenerationRecord:
    """The same without repeated bigrams."""
    return gpt2.generate(PROMPT, max_length=50, no_repeat_ngram_size=2)


@pytest.fixture(scope="session")
def beam(gpt2: HFModel) -> GenerationRecord:
    """Beam search with five beams, without repeated bigrams, with early stopping; decoded without special tokens."""
    return gpt2.generate(PROMPT, skip_special_tokens=True, **BEAM)


@pytest.fixture(scope="session")
def five_beams(gpt2: HFModel) -> GenerationRecord:
    """The same, returning all five beams."""
    return gpt2.generate(PROMPT, skip_special_tokens=True, num_return_sequences=5, **BEAM)


@pytest.fixture(scope="session")
def flat(hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    """The drawn GPT-2 whose choices are close, on the engine that the test's marker names."""
    return hf_models.load(drawn_checkpoints["gpt2"], task="text-generation", engine=hf_model.engine)


@pytest.fixture(scope="session")
def flat_sdpa(hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    """The same in torch, with sdpa attention."""
    return hf_models.load(drawn_checkpoints["gpt2"], task="text-generation", engine=hf_model.engine, attention="sdpa")
