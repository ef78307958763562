from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import NgramViolation, banned_tokens, check_blocking, prompt_batches, repeated_ngram

from ..surroundings import needs_both_engines
from .shrinking import smallest

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, ModelCache

few_tokens = st.lists(st.integers(0, 3), max_size=10)
sizes = st.integers(1, 4)
DRAWN = settings(max_examples=12, deadline=None, derandomize=True, database=None)


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


def ngrams(ids: list[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(ids[start : start + size]) for start in range(len(ids) - size + 1)]


@settings(deadline=None)
@given(ids=few_tokens, size=sizes)
def test_a_token_is_banned_exactly_if_it_would_repeat_an_ngram(ids: list[int], size: int) -> None:
    repeating = {
        token for token in range(4) if len(ids) + 1 >= size and tuple([*ids, token][-size:]) in ngrams(ids, size)
    }

    assert banned_tokens(ids, size) == repeating


def test_size_zero_bans_nothing() -> None:
    assert banned_tokens([1, 1, 1], 0) == set()
    assert banned_tokens([], 1) == set()


@settings(deadline=None)
@given(prompt=few_tokens, output=few_tokens, size=sizes)
def test_the_first_repetition_in_the_output_is_found(prompt: list[int], output: list[int], size: int) -> None:
    whole = [*prompt, *output]
    ends = [
        position
        for position in range(len(output))
        if (end := len(prompt) + position + 1) >= size
        and tuple(whole[end - size : end]) in ngrams(whole[: end - 1], size)
    ]

    assert repeated_ngram(prompt, output, size) == (ends[0] if ends else None)


def test_a_repetition_inside_the_prompt_is_allowed() -> None:
    assert repeated_ngram([1, 2, 1, 2], [3], 2) is None
    assert repeated_ngram([1, 2, 1], [2], 2) == 0


@DRAWN
@given(prompts=prompt_batches(257, batch=6), size=sizes, beams=st.sampled_from([1, 3]))
def test_the_library_blocks_and_changes_nothing_else(
    models: ModelCache, prompts: list[list[int]], size: int, beams: int
) -> None:
    bot = models.load("./model")

    assert check_blocking(bot, prompts, size, num_beams=beams, max_new_tokens=6) is None


@needs_both_engines
def test_tensorflow_blocks_and_changes_nothing_else(models: ModelCache) -> None:
    bot = models.load("./model", engine="tensorflow")

    for beams in (1, 2):
        prompts = [[1, 2, 1, 2], [3, 3, 3, 3]]
        assert check_blocking(bot, prompts, 2, num_beams=beams, max_new_tokens=4) is None


def processor() -> Any:
    from transformers import NoRepeatNGramLogitsProcessor

    return NoRepeatNGramLogitsProcessor


@pytest.fixture
def _spares_one(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's processor forgets the last token that it should ban."""
    del models
    call = processor().__call__

    def spare(self: Any, input_ids: Any, scores: Any) -> Any:
        processed = call(self, input_ids, scores.clone())  # older releases write into what they are given
        for row in range(len(processed)):
            banned = (processed[row] == -float("inf")).nonzero()
            if len(banned):
                processed[row, banned[-1]] = scores[row, banned[-1]]
        return processed

    monkeypatch.setattr(processor(), "__call__", spare)


@pytest.fixture
def _bans_one_more(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's processor also bans a token that repeats nothing, once the prompt is 3 tokens long."""
    del models
    call = processor().__call__

    def overdo(self: Any, input_ids: Any, scores: Any) -> Any:
        processed = call(self, input_ids, scores).clone()
        if input_ids.shape[1] >= 3:
            processed[:, 200] = -float("inf")
        return processed

    monkeypatch.setattr(processor(), "__call__", overdo)


@pytest.fixture
def _nudges(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's processor makes a token that is not banned more likely."""
    del models
    call = processor().__call__

    def nudge(self: Any, input_ids: Any, scores: Any) -> Any:
        processed = call(self, input_ids, scores).clone()
        processed[:, 65] += 0.01
        return processed

    monkeypatch.setattr(processor(), "__call__", nudge)


def shrunk(bot: HFModel) -> NgramViolation:
    """Return what hypothesis shrinks the library's fault to."""

    def violation(prompts: list[list[int]]) -> NgramViolation | None:
        return check_blocking(bot, prompts, 1, max_new_tokens=1)

    strategy = prompt_batches(257, batch=4, lengths=(1, 5))
    prompts = smallest(strategy, lambda drawn: violation(drawn) is not None, examples=40)
    assert len(prompts) == 1
    found = violation(prompts)
    assert found is not None
    return found


@pytest.mark.usefixtures("_spares_one")
def test_a_ban_that_is_forgotten_shrinks_to_one_short_prompt(bot: HFModel) -> None:
    violation = shrunk(bot)

    assert (violation.prompt, violation.position) == ((0,), 0)
    assert violation.what == "token 0 would repeat an n-gram and is not banned"
    assert f"at generated token 1 of {list(violation.output)} after {list(violation.prompt)}" in str(violation)


@pytest.mark.usefixtures("_bans_one_more")
def test_a_ban_too_many_shrinks_to_one_short_prompt(bot: HFModel) -> None:
    violation = shrunk(bot)

    assert violation.prompt == (0, 0, 0)
    assert violation.what == "token 200 is banned and repeats nothing"


@pytest.mark.usefixtures("_nudges")
def test_a_score_that_was_changed_is_named(bot: HFModel) -> None:
    violation = check_blocking(bot, [[1, 2]], 2, max_new_tokens=1)

    assert violation is not None
    assert violation.what.startswith("the score of token ")
    assert "which is not banned, was changed by 0.01" in violation.what


@pytest.mark.usefixtures("_spares_one")
def test_a_forgotten_ban_is_found_in_beams(bot: HFModel) -> None:
    violation = check_blocking(bot, [[1, 2], [7, 7]], 1, num_beams=3, max_new_tokens=4)

    assert violation is not None
    assert "is not banned" in violation.what or "a repeated" in violation.what


def test_what_follows_the_end_of_text_is_padding(bot: HFModel) -> None:
    first = bot.generate([72, 105], max_new_tokens=1).ids[0]

    assert check_blocking(bot, [[72, 105]], 1, max_new_tokens=4, eos_token_id=first, pad_token_id=first) is None
