"""Greedy search: at every step the likeliest token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.properties import repeated_ngram
from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, HFSnapshot


def test_greedy(gpt2: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = gpt2.generate(PROMPT, max_length=50)

    assert record == hf_snapshot


def test_greedy_loops_as_gpt2_does(gpt2: HFModel) -> None:
    record = gpt2.generate(PROMPT, max_length=50)

    assert len(record.prompt.ids) + len(record.ids) == 50
    assert repeated_ngram(record.prompt.ids, record.ids, 6) is not None


def test_blocking_bigrams_breaks_the_loop(gpt2: HFModel, hf_snapshot: HFSnapshot) -> None:
    record = gpt2.generate(PROMPT, max_length=50, no_repeat_ngram_size=2)

    assert repeated_ngram(record.prompt.ids, record.ids, 2) is None
    assert record == hf_snapshot


def test_greedy_of_a_shorter_length_is_a_prefix(gpt2: HFModel) -> None:
    short, long = (gpt2.generate(PROMPT, max_length=length).ids for length in (30, 50))

    assert short == long[: len(short)]
