from __future__ import annotations

import numpy as np
import pytest

from pytest_hfmodels.reference import Rules, Settings, check_greedy, greedy_search

from .tables import after_last_word

END, PAD = 0, 3
# After 1 comes 2 or the end; after 2 most likely the end.
MODEL = after_last_word(
    {0: [0.25, 0.25, 0.25, 0.25], 1: [0.3, 0.1, 0.6, 0.0], 2: [0.7, 0.2, 0.1, 0.0], 3: [0.1, 0.1, 0.1, 0.7]}
)
ASKED = Settings(max_new_tokens=3, eos_token_id=END, pad_token_id=PAD)


def test_the_best_word_is_chosen_until_the_end_and_padding_follows() -> None:
    found = greedy_search(MODEL, [[1, 1], [2, 1], [2, 2]], None, ASKED)

    assert found.ids.tolist() == [[1, 1, 2, END], [2, 1, 2, END], [2, 2, END, PAD]]
    np.testing.assert_allclose(np.exp(found.scores), [[0.6, 0.7], [0.6, 0.7], [0.7, np.nan]])
    np.testing.assert_allclose(np.exp(found.margins), [[2, 3.5], [2, 3.5], [3.5, np.nan]])


def test_the_limit_counts_the_prompt_or_only_new_tokens() -> None:
    endless = after_last_word({0: [1.0, 0.0], 1: [1.0, 0.0]})

    def length(asked: Settings, rules: Rules | None = None) -> int:
        return int(greedy_search(endless, [[1, 1, 1]], None, asked, rules).ids.shape[1])

    assert length(Settings(max_length=5)) == 5
    assert length(Settings(max_length=5, max_new_tokens=5)) == 8
    assert length(Settings()) == 23
    assert length(Settings(), Rules.of("4.46.3")) == 20


def test_the_mask_that_the_model_sees_grows_by_ones() -> None:
    seen = []

    def logits(ids: object, mask: object) -> object:
        seen.append(np.asarray(mask).tolist())
        return MODEL(np.asarray(ids), np.asarray(mask))

    greedy_search(logits, [[PAD, 1]], [[0, 1]], ASKED)  # type: ignore[arg-type]

    assert seen == [[[0, 1]], [[0, 1, 1]]]


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ([[1, 2, 0], [2, 0, 3]], None),
        ([[1, 0, 3], [2, 0, 3]], "after [1] came [0, 3]: generated token 1 is 0 with -1.20397, though 2 has -0.510826"),
        ([[1, 2, 0], [2, 0, 0]], "after [2] came [0, 0]: generated token 2 follows the end instead of the padding 3"),
        ([[1, 2, 0, 3], [2, 0, 3, 3]], "after [1] came [2, 0, 3]: generated token 3 comes after the end"),
        ([[1, 2], [2, 0]], "after [1] came [2]: it stops before eos and before the limit of 4 tokens"),
        ([[2, 0, 3], [2, 0, 3]], "after [1] came [0, 3]: the output does not begin with the prompts"),
    ],
)
def test_the_checker_names_the_mistake(returned: list[list[int]], what: str | None) -> None:
    found = check_greedy(MODEL, [[1], [2]], None, ASKED, returned)

    assert (found and str(found)) == what


def test_a_score_that_is_not_the_models_is_named() -> None:
    found = check_greedy(MODEL, [[2]], None, ASKED, [[2, 0]], np.log([[0.6]]))

    assert str(found) == "after [2] came [0]: generated token 1 has a score of -0.510826 instead of -0.356675"


def test_either_of_two_words_that_tie_is_right() -> None:
    tied = after_last_word({1: [0.4, 0.2, 0.4]})

    def wrong(word: int) -> bool:
        return check_greedy(tied, [[1]], None, Settings(max_new_tokens=1), [[1, word]]) is not None

    assert [wrong(word) for word in range(3)] == [False, True, False]
    assert greedy_search(tied, [[1]], None, Settings(max_new_tokens=1)).margins.tolist() == [[0.0]]
