from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import banned_tokens
from pytest_hfmodels.reference import Rules, Settings, process
from pytest_hfmodels.reference.processors import ban_repeated_ngrams

INF = float("inf")
SCORES = np.array([[-1.0, 2.0, -3.0, 4.0]])


def processed(ids: list[int], *, prompt: int = 1, rules: Rules | None = None, mask: Any = None, **asked: Any) -> Any:
    """Return the scores -1, 2, -3 and 4 of words 0 to 3 after `ids`, processed."""
    seen = np.array([ids])
    read = np.ones_like(seen) if mask is None else np.array([mask])
    return process(SCORES, seen, read, Settings(**asked), prompt, rules or Rules())[0].tolist()


def test_default_settings_change_nothing() -> None:
    assert processed([1]) == [-1, 2, -3, 4]


def test_repetition_divides_positive_and_multiplies_negative_scores_once() -> None:
    assert processed([0, 3, 3], repetition_penalty=2.0) == [-2, 2, -3, 2]


def test_padding_no_longer_counts_as_repetition() -> None:
    asked: dict[str, Any] = {"ids": [3, 0], "mask": [0, 1], "repetition_penalty": 2.0}

    assert processed(**asked) == [-2, 2, -3, 4]
    assert processed(**asked, rules=Rules.of("5.22.0")) == [-2, 2, -3, 2]


@settings(deadline=None, database=None)
@given(ids=st.lists(st.integers(0, 3), min_size=1, max_size=10), size=st.integers(1, 4))
def test_repeated_ngrams_are_banned(ids: list[int], size: int) -> None:
    banned = np.flatnonzero(np.isneginf(ban_repeated_ngrams(SCORES, np.array([ids]), size)[0]))

    assert set(banned.tolist()) == banned_tokens(ids, size)


def test_bad_words_are_banned_when_they_would_be_complete() -> None:
    words = [[1], [2, 0], [3, 2, 3]]

    assert processed([3, 2], bad_words_ids=words) == [-INF, -INF, -3, -INF]
    assert processed([2, 3], bad_words_ids=words) == [-1, -INF, -3, 4]


def test_a_single_eos_is_not_a_bad_word() -> None:
    assert processed([1], bad_words_ids=[[3], [1, 3]], eos_token_id=3) == [-1, 2, -3, -INF]
    assert processed([2], bad_words_ids=[[3], [1, 3]], eos_token_id=3) == [-1, 2, -3, 4]


def test_a_sequence_needs_its_beginning_and_before_that_its_length() -> None:
    assert processed([2], bad_words_ids=[[2, 0]]) == [-INF, 2, -3, 4]
    assert processed([2], bad_words_ids=[[2, 0]], rules=Rules.of("5.17.0")) == [-1, 2, -3, 4]


def test_a_bias_is_added_to_the_last_word() -> None:
    assert processed([3, 1], sequence_bias={(0,): 0.5, (1, 0): 1.0, (3, 1, 2): 7.0, (2, 3): 9.0}) == [0.5, 2, 4, 4]


def test_eos_is_banned_until_the_minimum_length() -> None:
    assert processed([1, 1], min_length=3, eos_token_id=[1, 3]) == [-1, -INF, -3, -INF]
    assert processed([1, 1], min_length=2, eos_token_id=[1, 3]) == [-1, 2, -3, 4]
    assert processed([1, 1], min_new_tokens=2, eos_token_id=3) == [-1, 2, -3, -INF]
    assert processed([1, 1], min_length=9, min_new_tokens=1, eos_token_id=3) == [-1, 2, -3, 4]
    assert processed([1, 1], min_length=9, min_new_tokens=1, eos_token_id=3, rules=Rules.of("4.39.0"))[3] == -INF


def test_a_first_and_a_last_word_are_forced() -> None:
    assert processed([1], forced_bos_token_id=2) == [-INF, -INF, 0, -INF]
    assert processed([1, 1], forced_bos_token_id=2) == [-1, 2, -3, 4]
    assert processed([1, 1], forced_eos_token_id=[0, 2], max_length=3) == [0, -INF, 0, -INF]
    assert processed([1, 1], forced_eos_token_id=2, max_length=4) == [-1, 2, -3, 4]


def test_decay_makes_eos_likelier_with_every_word_past_the_start() -> None:
    asked: dict[str, Any] = {"prompt": 1, "exponential_decay_length_penalty": (1, 2.0), "eos_token_id": [0, 3]}

    assert processed([1, 1], **asked) == [-1, 2, -3, 4]
    assert processed([1, 1, 1], **asked) == [0, 2, -3, 8]
    assert processed([1, 1, 1, 1], **asked) == [2, 2, -3, 16]
    assert processed([1, 1, 1], **asked, rules=Rules.of("4.33.0")) == [-2, 2, -3, 8]


def test_decay_keeps_bans_and_in_older_releases_freed_them() -> None:
    asked: dict[str, Any] = {"exponential_decay_length_penalty": (0, 2.0), "eos_token_id": 3, "min_length": 9}

    assert processed([1, 1], **asked)[3] == -INF
    assert np.isnan(processed([1, 1], **asked, rules=Rules.of("5.18.0"))[3])


def test_words_are_suppressed_always_or_first() -> None:
    assert processed([1, 1], suppress_tokens=[0, 3]) == [-INF, 2, -3, -INF]
    assert processed([1], begin_suppress_tokens=[3]) == [-1, 2, -3, -INF]
    assert processed([1, 1], begin_suppress_tokens=[3]) == [-1, 2, -3, 4]
    # A forced bos after a prompt of one word is no beginning.
    assert processed([1], begin_suppress_tokens=[2], forced_bos_token_id=2)[2] == 0
    assert processed([1, 2], begin_suppress_tokens=[3], forced_bos_token_id=2)[3] == -INF


def test_values_that_are_not_finite_become_finite() -> None:
    finite = np.finfo(np.float32)
    scores, ids = np.array([[np.nan, INF, -INF, 1.0]]), np.array([[1]])

    def found(rules: Rules) -> Any:
        return process(scores, ids, np.ones_like(ids), Settings(remove_invalid_values=True), 1, rules)[0].tolist()

    assert found(Rules()) == [0, finite.max, finite.min, 1]
    assert found(Rules.of("4.35.2")) == [0, finite.max, -INF, 1]


def test_renormalised_scores_are_log_probabilities_of_the_allowed_tokens() -> None:
    scores = processed([1], suppress_tokens=[3], renormalize_logits=True)

    assert np.exp(scores).sum() == pytest.approx(1)
    assert scores[1] - scores[0] == pytest.approx(3)
    assert scores[3] == -INF
