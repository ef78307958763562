"""Each rule shows: the installed release gives what its rules say, and not what the contrary of one of them says."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import missing
from pytest_hfmodels.errors import HFModelsError
from pytest_hfmodels.reference import Rules, Settings, beam_search, check_beams, check_greedy

from .flat_gpt2 import RULES, VOCABULARY

if TYPE_CHECKING:
    from pytest_hfmodels.reference import Mismatch
    from pytest_hfmodels.reference.search import IntArray

    from .flat_gpt2 import FlatGPT2, Returned

needs_torch = pytest.mark.skipif(missing("torch") is not None, reason="install torch")
THREE_BEAMS = Settings(num_beams=3, num_return_sequences=3, eos_token_id=22, pad_token_id=29, max_new_tokens=8)
ENDS_WITH_13 = Settings(eos_token_id=13, pad_token_id=29, max_new_tokens=8)
# Prompts padded with None, and settings under which the rule decides what comes out.
SHOWN: dict[str, tuple[list[list[int | None]], Settings]] = {
    "default_length_counts_prompt": ([[27, 12, 24]], Settings()),
    "both_minima_hold": (
        [[18, 1, 13]],
        Settings(max_new_tokens=8, min_length=9, min_new_tokens=1, eos_token_id=[15, 18, 0], pad_token_id=29),
    ),
    "length_penalty_counts_prompt": ([[8, 9, 21]], THREE_BEAMS),
    "ended_beams_first": (
        [[12, 24, 26]],
        replace(THREE_BEAMS, eos_token_id=26, length_penalty=2.0, early_stopping=True, max_new_tokens=4),
    ),
    "first_eos_stands_for_all": ([[18, 1, 13]], replace(THREE_BEAMS, eos_token_id=[15, 18, 0])),
    "pad_zero_is_eos": ([[8, 9, 21]], replace(THREE_BEAMS, pad_token_id=0)),
    "rows_stop_together": (
        [[19, 8, 23], [None, None, 11]],
        Settings(max_new_tokens=10, num_beams=2, num_return_sequences=2, eos_token_id=[25, 22], pad_token_id=29),
    ),
    "decay_multiplies": ([[27, 12, 24]], replace(ENDS_WITH_13, exponential_decay_length_penalty=(0, 2.0))),
    "decay_frees_the_banned": (
        [[27, 12, 24]],
        replace(ENDS_WITH_13, min_new_tokens=6, exponential_decay_length_penalty=(1, 1.5)),
    ),
    "minus_infinity_stays": (
        [[5]],
        Settings(max_new_tokens=1, bad_words_ids=[[word] for word in range(VOCABULARY)], remove_invalid_values=True),
    ),
    "sequences_need_their_length": ([[27]], Settings(max_new_tokens=3, bad_words_ids=[[27, 7]])),
    "repetition_counts_padding": ([[None, None, 27]], Settings(max_new_tokens=3, repetition_penalty=5.0)),
}
HIDDEN = {  # what a rule says cannot show where another one holds
    "decay_frees_the_banned": RULES.decay_multiplies,
    "rows_stop_together": RULES.length_penalty_counts_prompt,
}
PADDING = 7  # the word that the model would say after 27


@needs_torch
@pytest.mark.parametrize("rule", SHOWN)
def test_the_release_keeps_to_its_rule(model: FlatGPT2, rule: str) -> None:
    prompts, asked = SHOWN[rule]
    mask = np.array([[int(word is not None) for word in prompt] for prompt in prompts])
    ids = np.array([[PADDING if word is None else word for word in prompt] for prompt in prompts])
    returned = model.generate(ids, mask, asked)

    assert check(model, ids, mask, asked, returned, RULES) is None
    opposite: dict[str, Any] = {rule: not getattr(RULES, rule)}
    contrary = replace(RULES, **opposite)
    assert HIDDEN.get(rule) or check(model, ids, mask, asked, returned, contrary) is not None


def check(
    model: FlatGPT2, ids: IntArray, mask: IntArray, asked: Settings, returned: Returned, rules: Rules
) -> Mismatch | None:
    checker = check_beams if asked.num_beams > 1 else check_greedy
    return checker(model.logits, ids, mask, asked, returned.ids, returned.scores, rules)


@needs_torch
def test_many_eos_leave_too_few_beams_where_the_rules_say_so(model: FlatGPT2) -> None:
    ids, mask = np.array([[1, 2]]), np.ones((1, 2), int)
    asked = Settings(num_beams=2, max_new_tokens=3, eos_token_id=list(range(25)), pad_token_id=29)

    if RULES.spare_beams_for_one_eos:
        with pytest.raises(ValueError, match="can be equal to `eos_token_id"):
            model.generate(ids, mask, asked)
        with pytest.raises(HFModelsError, match="too few for 2 beams"):
            beam_search(model.logits, ids, mask, asked, RULES)
    else:
        assert check(model, ids, mask, asked, model.generate(ids, mask, asked), RULES) is None


def test_every_rule_is_shown() -> None:
    elsewhere = {"pooling", "spare_beams_for_one_eos"}

    assert SHOWN.keys() | elsewhere == {rule.name for rule in fields(Rules)}


def test_a_release_candidate_has_the_rules_of_its_release() -> None:
    assert Rules.of("5.0.0rc1") == Rules.of("5.0.0")
    assert Rules.of("4.9.2").pooling == "count"
    assert Rules.of("5.23.0") == Rules()


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(HFModelsError, match="'main' is no version of transformers"):
        Rules.of("main")
