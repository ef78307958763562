from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.reference import Rules, Settings, beam_search, check_beams
from pytest_hfmodels.reference.search import log_softmax

from .tables import after_last_word, drawn

if TYPE_CHECKING:
    from pytest_hfmodels.reference.search import FloatArray, IntArray

Stopping = bool | Literal["never"]
END, PAD = 0, 4
# From 1, greedy takes 2 (0.5) and then at best 0.4; by 3 (0.4) and then 0.9 a beam does better.
MODEL = after_last_word(
    {
        1: [0.1, 0.0, 0.5, 0.4, 0.0],
        2: [0.3, 0.4, 0.1, 0.2, 0.0],
        3: [0.9, 0.1, 0.0, 0.0, 0.0],
    }
)
ASKED = Settings(
    max_new_tokens=2, num_beams=2, num_return_sequences=2, eos_token_id=END, pad_token_id=PAD, length_penalty=0.0
)


def test_two_beams_find_what_greedy_search_misses() -> None:
    found = beam_search(MODEL, [[1]], None, ASKED)

    assert found.ids.tolist() == [[1, 3, END], [1, 2, 1]]
    np.testing.assert_allclose(np.exp(found.scores), [0.4 * 0.9, 0.5 * 0.4])
    first, second = found.steps[0]
    assert [one.ids for one in first.candidates] == [(1, 2), (1, 3), (1, 0)]
    assert [one.ids for one in second.candidates] == [(1, 3, 0), (1, 2, 1), (1, 2, 0), (1, 2, 3)]


def test_a_step_has_the_margin_between_kept_and_dropped_candidates() -> None:
    one, two = (beam_search(MODEL, [[1]], None, replace(ASKED, num_beams=count)).steps[0][0] for count in (1, 2))

    assert np.exp(one.margin) == pytest.approx(0.5 / 0.4)
    assert two.margin == math.inf  # the third candidate ends, and there is no fourth


def test_the_length_penalty_divides_by_the_generated_length() -> None:
    found = beam_search(MODEL, [[1, 1]], None, replace(ASKED, length_penalty=2.0))
    before = beam_search(MODEL, [[1, 1]], None, replace(ASKED, length_penalty=2.0), Rules.of("4.35.2"))

    np.testing.assert_allclose(found.scores, [np.log(0.36) / 4, np.log(0.2) / 4])
    # With the prompt of two, but without the eos that ended the first.
    np.testing.assert_allclose(before.scores, [np.log(0.2) / 16, np.log(0.36) / 9])


STOPPING = after_last_word(
    {
        1: [0.5, 0.0, 0.3, 0.2],
        2: [0.6, 0.0, 0.4, 0.0],
        3: [0.0, 0.0, 0.0, 1.0],
    }
)


def test_early_stopping() -> None:
    """After two words [end] has 0.5 and [2, end] 0.18; [3, 3, ...] stays at 0.2, which a long text makes better."""

    def ids(stopping: Stopping, penalty: float) -> list[list[int]]:
        asked = replace(ASKED, max_new_tokens=6, early_stopping=stopping, length_penalty=penalty)
        return [[word for word in row if word != PAD] for row in beam_search(STOPPING, [[1]], None, asked).ids.tolist()]

    ended, short, long = [1, END], [1, 2, END], [1, 3, 3, 3, 3, 3, 3]
    assert ids(True, 1.0) == [ended, short]  # enough have ended: log 0.5 = -0.69 and log 0.18 / 2 = -0.86
    assert ids(False, 1.0) == [long, ended]  # log 0.2 / 2 = -0.8 is better than -0.86, and so on to / 6 = -0.27
    assert ids(False, 0.0) == ids("never", 0.0) == [ended, long]
    assert ids("never", 1.0) == [long, ended]
    assert ids(True, 0.0) == [ended, short]


def test_never_stops_only_if_nothing_can_improve() -> None:
    model = after_last_word({1: [0.5, 0.0, 0.4, 0.1], 2: [0.8, 0.0, 0.1, 0.1], 3: [0.0, 0.0, 0.0, 1.0]})

    def first(stopping: Stopping) -> list[int]:
        asked = Settings(
            max_new_tokens=20,
            num_beams=2,
            early_stopping=stopping,
            eos_token_id=END,
            pad_token_id=PAD,
            length_penalty=1.0,
        )
        return [word for word in beam_search(model, [[1]], None, asked).ids[0].tolist() if word != PAD]

    # After two words: [2, end] -0.57, [end] -0.69, open [3, 3] log 0.1 / 2 = -1.15, but / 20 = -0.12 in the end.
    assert first(False) == [1, 2, END]
    assert first("never") == [1, *[3] * 20]


def test_a_batch_is_padded_and_one_prompt_does_not_change_another() -> None:
    alone = [beam_search(MODEL, [[word]], None, ASKED) for word in (1, 3)]

    together = beam_search(MODEL, [[1], [3]], None, ASKED)

    assert together.ids.tolist() == [[1, 3, 0], [1, 2, 1], [3, 0, PAD], [3, 1, 2]]
    np.testing.assert_array_equal(together.scores, np.concatenate([one.scores for one in alone]))


def test_missing_beams_are_not_invented() -> None:
    found = beam_search(after_last_word({1: [0.0, 1.0]}), [[1]], None, Settings(max_new_tokens=2, num_beams=2))
    asked = Settings(max_new_tokens=2, num_beams=2, num_return_sequences=2)
    two = beam_search(after_last_word({1: [0.0, 1.0]}), [[1]], None, asked)

    assert found.ids.tolist() == [[1, 1, 1]]
    assert two.scores.tolist() == [0.0, -math.inf]
    nothing = replace(asked, num_return_sequences=1, suppress_tokens=[0, 1])
    assert check_beams(after_last_word({1: [0.0, 1.0]}), [[1]], None, nothing, [[1, 0, 0]]) is None


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), length=st.integers(1, 3), penalty=st.sampled_from([-1.0, 0.0, 1.0]))
def test_exhaustive_beams_find_every_sequence_in_order(seed: int, length: int, penalty: float) -> None:
    model = drawn(4, seed)
    sequences = list(itertools.product(range(4), repeat=length))
    totals = []
    for sequence in sequences:
        steps = [log_softmax(model(np.array([[2, *sequence[:at]]]), np.ones((1, at + 1), int))) for at in range(length)]
        totals.append(sum(float(step[0, word]) for step, word in zip(steps, sequence, strict=True)))
    count = len(sequences)

    asked = Settings(max_new_tokens=length, num_beams=count, num_return_sequences=count, length_penalty=penalty)
    found = beam_search(model, [[2]], None, asked)

    order = np.argsort(totals)[::-1]
    assert [tuple(row[1:]) for row in found.ids.tolist()] == [sequences[index] for index in order]
    np.testing.assert_allclose(found.scores, np.array(totals)[order] / length**penalty)


def test_the_checker_names_the_right_sequence() -> None:
    found = check_beams(MODEL, [[1]], None, ASKED, [[1, 3, END], [1, 2, 3]])

    assert found is not None
    assert found.prompt == (1,)
    assert str(found).startswith(
        "after [1] came [3, 0] and [2, 3]: sequence 2 should be [2, 1] with a score of -1.60944"
    )


def test_the_checker_compares_scores_padding_and_width() -> None:
    right = beam_search(MODEL, [[1], [3]], None, ASKED)
    scores, ids = right.scores.copy(), right.ids.copy()

    def what(ids: object, scores: object) -> str:
        return str(check_beams(MODEL, [[1], [3]], None, ASKED, ids, scores))

    assert what(ids, scores) == "None"
    assert "score of -1.02165, not -1.01165" in what(ids, scores + np.array([0.01, 0, 0, 0]))
    assert "sequence 1 should be [0, 4]" in what(np.where(ids == PAD, 1, ids), scores)
    wide = np.pad(ids, ((0, 0), (0, 1)), constant_values=PAD)
    assert "the sequences are 4 tokens wide, and the longest has 3" in what(wide, scores)


def test_exact_ties_may_fall_either_way() -> None:
    tied = after_last_word({word: [0.25, 0.25, 0.25, 0.25] for word in range(4)})
    asked = Settings(max_new_tokens=3, num_beams=2, num_return_sequences=2)

    def right(*rows: list[int]) -> bool:
        return check_beams(tied, [[1]], None, asked, [[1, *row] for row in rows]) is None

    assert right([3, 2, 1], [2, 0, 3])
    assert right([3, 2, 1], [3, 2, 0])
    assert not right([3, 2, 1], [3, 2, 1])


def test_only_near_ties_may_fall_either_way() -> None:
    def right(gap: float) -> bool:
        model = after_last_word({1: [0.1, 0.3, 0.3 + gap, 0.3 - gap], 2: [1, 0, 0, 0], 3: [1, 0, 0, 0]})
        asked = Settings(max_new_tokens=1, num_beams=2)
        return check_beams(model, [[1]], None, asked, [[1, 3]]) is None

    assert right(1e-6)
    assert not right(1e-4)


def test_a_ban_that_was_made_finite_is_not_a_beam() -> None:
    def logits(ids: IntArray, _mask: IntArray) -> FloatArray:
        return np.tile(np.array([0.5, 0.2, 0.1]), (len(ids), 1))

    settings = Settings(
        num_beams=2, num_return_sequences=2, max_new_tokens=1, suppress_tokens=(1, 2), remove_invalid_values=True
    )
    prompts = np.array([[0]])
    found = beam_search(logits, prompts, None, settings)
    ids, scores = np.array([[0, 0], [0, -1]]), np.array([found.scores[0], -1e9])

    assert found.scores[1] < -1e30
    assert check_beams(logits, prompts, None, settings, ids, scores) is None
