"""Beam search with five beams, without repeated bigrams, with early stopping."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels import GenerationRecord, HFModel, HFSnapshot


def test_beam(beam: GenerationRecord, hf_snapshot: HFSnapshot) -> None:
    assert beam == hf_snapshot


def test_beam_differs_from_greedy(beam: GenerationRecord, greedy: GenerationRecord) -> None:
    assert beam.ids != greedy.ids


def test_all_five_beams(five_beams: GenerationRecord, hf_snapshot: HFSnapshot) -> None:
    scores = [beam.score for beam in five_beams.beams]
    assert len({beam.ids for beam in five_beams.beams}) == 5
    assert scores == sorted(scores, reverse=True)
    assert five_beams == hf_snapshot


def test_early_stopping_at_the_length_limit(gpt2: HFModel, hf_snapshot: HFSnapshot) -> None:
    """Releases differ in whether unended beams compete with ended ones."""
    record = gpt2.generate(
        "It is not easy to learn the trumpet.",
        max_new_tokens=80,
        num_beams=4,
        num_return_sequences=2,
        early_stopping=True,
        length_penalty=2.0,
    )

    assert record == hf_snapshot
