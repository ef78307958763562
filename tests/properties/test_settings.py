from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import READING_PADDING, generation_settings, installed_rules, padded_batches
from pytest_hfmodels.properties.decoding import observed
from pytest_hfmodels.reference import Rules, Settings
from pytest_hfmodels.reference.search import as_tuple

from .shrinking import smallest

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache

DRAWN = settings(max_examples=300, deadline=None, derandomize=True, database=None)
VOCABULARY = 30
RULES = [Rules(), Rules.of("4.30.2"), Rules.of("4.53.3"), Rules.of("4.57.6", "tensorflow")]
every_rules = st.sampled_from(RULES)


@DRAWN
@given(data=st.data(), rules=every_rules, length=st.integers(1, 6))
def test_nothing_is_drawn_that_is_refused(data: st.DataObject, rules: Rules, length: int) -> None:
    """See the table of suites/test_refused_settings.py."""
    asked = data.draw(generation_settings(VOCABULARY, prompt_length=length, rules=rules))

    assert 1 <= asked.num_return_sequences <= asked.num_beams
    assert asked.repetition_penalty > 0
    assert length < asked.limit(length, rules) <= length + 9
    assert asked.least(length, rules) <= asked.limit(length, rules)
    assert asked.bad_words_ids is None or all(0 <= min(word) <= max(word) < VOCABULARY for word in asked.bad_words_ids)
    assert asked.bad_words_ids is None or all(asked.bad_words_ids)
    assert asked.bad_words_ids != []
    assert asked.sequence_bias is None or all(asked.sequence_bias)
    assert asked.sequence_bias != {}
    assert asked.early_stopping in (True, False, "never")
    assert not forced(asked) & {*(asked.suppress_tokens or ())}
    assert asked.exponential_decay_length_penalty is None or asked.eos
    assert asked.eos_token_id != []
    assert isinstance(asked.no_repeat_ngram_size, int)
    assert asked.no_repeat_ngram_size >= 0


def forced(asked: Settings) -> set[int]:
    return {*as_tuple(asked.forced_bos_token_id), *as_tuple(asked.forced_eos_token_id)}


@DRAWN
@given(data=st.data(), rules=every_rules)
def test_nothing_is_drawn_that_a_release_lacks(data: st.DataObject, rules: Rules) -> None:
    asked = data.draw(generation_settings(VOCABULARY, prompt_length=2, rules=rules))

    assert not asked.given.keys() & rules.lacking
    if rules.minima_take_one_eos:
        assert isinstance(asked.forced_eos_token_id, int | None)
        assert len(asked.eos) <= 1 or not asked.min_length
    if rules.too_few_beams_raise and asked.num_beams > 1:
        assert len(asked.eos) <= 1


def test_the_library_accepts_all_drawn_settings(models: ModelCache) -> None:
    bot = models.load("./model")

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        ids, mask = data.draw(padded_batches(257))
        asked = data.draw(generation_settings(257, prompt_length=len(ids[0]), rules=installed_rules(bot), prompts=ids))

        sequences = observed(bot, ids, mask, asked).sequences

        assert len(sequences) == len(ids) * asked.num_return_sequences

    run()


@pytest.mark.parametrize("name", sorted({field.name for field in fields(Settings)}))
def test_every_setting_is_drawn_and_shrinks_to_itself(name: str) -> None:
    strategy = generation_settings(VOCABULARY, prompt_length=2)

    found = smallest(strategy, lambda asked: name in asked.given, examples=1500)

    beside = {"num_return_sequences": 1, "length_penalty": 1, "early_stopping": 1, "pad_token_id": 1}
    beside["exponential_decay_length_penalty"] = 1  # the first three need beams, these an end
    length = {"max_new_tokens", "max_length"} & found.given.keys()
    assert len(length) == 1
    assert len(found.given.keys() - length - {name}) == beside.get(name, 0), str(found)


def test_the_smallest_settings_ask_for_one_token() -> None:
    strategy = generation_settings(VOCABULARY, prompt_length=2)

    assert smallest(strategy, lambda _: True) == Settings(max_new_tokens=1)
    assert smallest(strategy, lambda asked: asked.num_beams > 1) == Settings(max_new_tokens=1, num_beams=2)


@DRAWN
@given(data=st.data(), beams=st.booleans())
def test_excluded_settings_are_not_drawn(data: st.DataObject, beams: bool) -> None:
    left_out = (*READING_PADDING, "max_length", "eos_token_id", "early_stopping")

    asked = data.draw(generation_settings(VOCABULARY, prompt_length=2, beams=beams, without=left_out))

    assert not asked.given.keys() & {*left_out}
    assert (asked.num_beams > 1) is beams


def test_settings_name_the_ids_that_are_given() -> None:
    strategy = generation_settings([11, 12, 13], prompt_length=1)

    assert smallest(strategy, lambda asked: asked.suppress_tokens is not None, examples=500).suppress_tokens == [11]


def test_words_start_in_prompts() -> None:
    strategy = generation_settings(VOCABULARY, prompt_length=4, prompts=[[5, 6, 7, 8]])

    def goes_on(asked: Settings) -> bool:
        return any(list(word[:-1]) == [6, 7, 8] for word in asked.bad_words_ids or ())

    assert smallest(strategy, goes_on, examples=2000).bad_words_ids == [[6, 7, 8, 0]]


@settings(deadline=None)
@given(data=st.data(), vocabulary=st.integers(1, 300), shortest=st.integers(1, 3), more=st.integers(0, 4))
def test_a_padded_batch_has_its_padding_on_the_left(
    data: st.DataObject, vocabulary: int, shortest: int, more: int
) -> None:
    ids, mask = data.draw(padded_batches(vocabulary, lengths=(shortest, shortest + more), batch=5))

    assert 1 <= len(ids) == len(mask) <= 5
    assert {len(row) for row in (*ids, *mask)} == {len(ids[0])}
    assert all(ones == sorted(ones) and shortest <= sum(ones) <= shortest + more for ones in mask)
    assert any(0 not in ones for ones in mask)
    assert all(0 <= token < vocabulary for row in ids for token in row)


def test_the_smallest_padded_batch_is_one_prompt_of_one_small_token() -> None:
    assert smallest(padded_batches(300), lambda _: True) == ([[0]], [[1]])


def test_the_smallest_batch_with_padding_is_two_short_prompts() -> None:
    ids, mask = smallest(padded_batches(300), lambda batch: any(0 in ones for ones in batch[1]))

    assert sorted(mask) == [[0, 1], [1, 1]]
    assert ids == [[0, 0], [0, 0]]
