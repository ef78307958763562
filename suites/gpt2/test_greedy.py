"""Greedy search: the most likely token at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.properties import repeated_ngram
from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import GenerationRecord, HFModel, HFSnapshot


def test_greedy(greedy: GenerationRecord, hf_snapshot: HFSnapshot) -> None:
    assert greedy == hf_snapshot


def test_greedy_loops_as_gpt2_does(greedy: GenerationRecord) -> None:
    assert len(greedy.prompt.ids) + len(greedy.ids) == 50
    assert repeated_ngram(greedy.prompt.ids, greedy.ids, 6) is not None


def test_blocking_bigrams_breaks_the_loop(greedy_without_bigrams: GenerationRecord, hf_snapshot: HFSnapshot) -> None:
    blocked = greedy_without_bigrams

    assert repeated_ngram(blocked.prompt.ids, blocked.ids, 2) is None
    assert blocked == hf_snapshot


def test_greedy_of_a_shorter_length_is_a_prefix(gpt2: HFModel, greedy: GenerationRecord) -> None:
    short = gpt2.generate(PROMPT, max_length=24)

    assert short.ids == greedy.ids[: len(short.ids)]
