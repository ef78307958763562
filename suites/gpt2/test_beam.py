"""Beam search with five beams, no bigram twice, stopping early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot

BEAM: dict[str, Any] = {"max_length": 50, "num_beams": 5, "no_repeat_ngram_size": 2, "early_stopping": True}


def test_beam(gpt2: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = gpt2.generate(PROMPT, skip_special_tokens=True, **BEAM)

    assert record == hf_snapshot


def test_beam_differs_from_greedy(gpt2: HFModel) -> None:
    beam, greedy = gpt2.generate(PROMPT, **BEAM), gpt2.generate(PROMPT, max_length=50)

    assert beam.ids != greedy.ids


def test_all_five_beams(gpt2: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = gpt2.generate(PROMPT, skip_special_tokens=True, num_return_sequences=5, **BEAM)

    scores = [beam.score for beam in record.beams]
    assert len({beam.ids for beam in record.beams}) == 5
    assert scores == sorted(scores, reverse=True)
    assert record == hf_snapshot
