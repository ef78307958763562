"""Each rule has an effect: the installed release follows its rules, and not the opposite of any of them."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import missing
from pytest_hfmodels.engines.upstream import release_at_least
from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.properties import installed_rules
from pytest_hfmodels.properties.decoding import difference, observed
from pytest_hfmodels.properties.logits import own_logits
from pytest_hfmodels.reference import Rules, Settings, beam_search, pooled_positions
from suites.drawn import GPT2

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache

VOCABULARY = GPT2["vocab_size"]
PADDING = 27  # the token that the model would generate after 3
ENDS_WITH = Settings(max_new_tokens=8, pad_token_id=29)
BEAMS = replace(ENDS_WITH, num_beams=3, num_return_sequences=3)
# Prompts padded with None, and settings for which the rule changes the output.
SHOWN: dict[str, tuple[list[list[int | None]], Settings]] = {
    "default_length_counts_prompt": ([[27, 12, 24]], Settings()),
    "both_minima_hold": ([[9, 1, 2]], replace(ENDS_WITH, eos_token_id=0, min_length=9, min_new_tokens=1)),
    "length_penalty_counts_prompt": ([[11, 2, 20]], replace(BEAMS, eos_token_id=14)),
    "ended_beams_first": (
        [[22, 6, 6]],
        replace(BEAMS, eos_token_id=24, max_new_tokens=4, length_penalty=2.0, early_stopping=True),
    ),
    "only_ended_beams": (
        [[7, 15, 28]],
        replace(BEAMS, eos_token_id=3, max_new_tokens=4, num_return_sequences=1, length_penalty=2.0),
    ),
    "first_eos_stands_for_all": ([[5, 0, 24]], replace(BEAMS, eos_token_id=[23, 3, 19])),
    "pad_zero_is_eos": ([[21, 18, 1]], replace(BEAMS, eos_token_id=24, pad_token_id=0)),
    "rows_stop_together": (
        [[16, 20, 24], [None, None, 27]],
        replace(BEAMS, eos_token_id=27, max_new_tokens=10, num_beams=2, num_return_sequences=2),
    ),
    "padded_to_the_last_step": ([[25, 4, 8]], replace(BEAMS, eos_token_id=27, num_beams=2, num_return_sequences=1)),
    "decay_multiplies": ([[6, 18, 10]], replace(ENDS_WITH, eos_token_id=14, exponential_decay_length_penalty=(0, 2.0))),
    "decay_frees_the_banned": (
        [[26, 6, 24]],
        replace(ENDS_WITH, eos_token_id=24, min_new_tokens=6, exponential_decay_length_penalty=(1, 1.5)),
    ),
    "minus_infinity_stays": (
        [[5]],
        Settings(max_new_tokens=1, bad_words_ids=[[word] for word in range(VOCABULARY)], remove_invalid_values=True),
    ),
    "sequences_need_their_length": ([[20]], Settings(max_new_tokens=3, bad_words_ids=[[20, 11]])),
    "eos_is_a_bad_word": ([[2, 3, 18]], replace(ENDS_WITH, max_new_tokens=4, eos_token_id=12, bad_words_ids=[[12]])),
    "repetition_counts_padding": ([[None, None, 3]], Settings(max_new_tokens=3, repetition_penalty=5.0)),
}
ELSEWHERE = {"lacking", "minima_take_one_eos", "pooling", "spare_beams_for_one_eos", "too_few_beams_raise"}
ELSEWHERE |= {"sdpa_ignores_scaling", "spaces_cleaned_up", "bpe_keeps_spaces"}  # not rules of a search


def hidden(rule: str, rules: Rules) -> bool:
    """Return whether another rule hides the effect of this one."""
    return {
        "both_minima_hold": "min_new_tokens" in rules.lacking,
        "decay_multiplies": "exponential_decay_length_penalty" in rules.lacking,
        "decay_frees_the_banned": rules.decay_multiplies or "exponential_decay_length_penalty" in rules.lacking,
        "ended_beams_first": rules.only_ended_beams,
        "minus_infinity_stays": "remove_invalid_values" in rules.lacking,
        "only_ended_beams": rules.ended_beams_first,
        "rows_stop_together": rules.length_penalty_counts_prompt,
    }.get(rule, False)


@pytest.mark.parametrize("rule", SHOWN)
def test_the_release_follows_its_rule(flat_gpt2: HFModel, rule: str) -> None:
    prompts, asked = SHOWN[rule]
    mask = np.array([[int(word is not None) for word in prompt] for prompt in prompts])
    ids = np.array([[PADDING if word is None else word for word in prompt] for prompt in prompts])
    rules = installed_rules(flat_gpt2)
    returned = observed(flat_gpt2, ids, mask, asked)

    assert difference(flat_gpt2, ids, mask, asked, returned, rules) is None
    opposite: dict[str, Any] = {rule: not getattr(rules, rule)}
    contrary = difference(flat_gpt2, ids, mask, asked, returned, replace(rules, **opposite))
    assert contrary is not None or hidden(rule, rules)


def test_many_eos_leave_few_beams_where_the_rules_say_so(flat_gpt2: HFModel) -> None:
    ids, mask, rules = [[26, 25, 2]], [[1, 1, 1]], installed_rules(flat_gpt2)
    asked = replace(BEAMS, eos_token_id=[29, 18, 7, 15, 12, 4])

    if rules.too_few_beams_raise:
        with pytest.raises(ValueError, match="can be equal to `eos_token_id"):
            observed(flat_gpt2, ids, mask, asked)
        with pytest.raises(HFModelsError, match="too few for 3 beams"):
            beam_search(own_logits(flat_gpt2, 3), ids, mask, asked, rules)
        return
    returned = observed(flat_gpt2, ids, mask, asked)
    assert difference(flat_gpt2, ids, mask, asked, returned, rules) is None
    contrary = replace(rules, spare_beams_for_one_eos=not rules.spare_beams_for_one_eos)
    assert difference(flat_gpt2, ids, mask, asked, returned, contrary) is not None


def test_a_bad_word_as_long_as_the_text_is_found(flat_gpt2: HFModel) -> None:
    ids, mask = [[5, 20, 11]], [[1, 1, 1]]
    first = int(observed(flat_gpt2, ids, mask, Settings(max_new_tokens=1)).sequences[0][-1])

    returned = observed(flat_gpt2, ids, mask, Settings(max_new_tokens=1, bad_words_ids=[[20, 11, first]]))

    assert int(returned.sequences[0][-1]) != first


LACKING = {
    "exponential_decay_length_penalty": (0, 2.0),
    "min_new_tokens": 6,
    "remove_invalid_values": True,
    "renormalize_logits": True,
    "sequence_bias": {(14,): 5.0},
}


@pytest.mark.parametrize("name", LACKING)
def test_missing_settings_do_nothing_or_are_refused(flat_gpt2: HFModel, name: str) -> None:
    ids, mask = [[6, 18, 10]], [[1, 1, 1]]
    plain, rules = replace(ENDS_WITH, eos_token_id=[14, 24], bad_words_ids=[[1]]), installed_rules(flat_gpt2)
    asked = replace(plain, **{name: LACKING[name]})  # type: ignore[arg-type]  # each is of its setting's type
    unprocessed = observed(flat_gpt2, ids, mask, plain).scores

    refused = re.escape(f"not used by the model: ['{name}']")
    if name == "sequence_bias" and not release_at_least("4.31"):
        with pytest.raises(ValueError, match=refused):
            observed(flat_gpt2, ids, mask, asked)
        return

    processed = observed(flat_gpt2, ids, mask, asked).scores
    nothing = processed.shape == unprocessed.shape and np.array_equal(processed, unprocessed)
    unseen = name == "remove_invalid_values" and rules.minus_infinity_stays
    assert nothing is (name in rules.lacking or unseen)


@pytest.mark.parametrize("of_several", [{"min_length": 6}, {"forced_eos_token_id": [2, 3]}], ids=["least", "forced"])
def test_several_eos_are_accepted_unless_the_rules_say_one(flat_gpt2: HFModel, of_several: dict[str, Any]) -> None:
    ids, mask, rules = [[6, 18, 10]], [[1, 1, 1]], installed_rules(flat_gpt2)
    asked = replace(ENDS_WITH, eos_token_id=[2, 3], **of_several)

    if rules.minima_take_one_eos:
        with pytest.raises((TypeError, ValueError)):
            observed(flat_gpt2, ids, mask, asked)
    else:
        assert difference(flat_gpt2, ids, mask, asked, observed(flat_gpt2, ids, mask, asked), rules) is None


@pytest.mark.skipif(missing("torch") is not None, reason="install torch")
@pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
@pytest.mark.parametrize("row", [[1, 2, 3], [29, 29, 3], [1, 29, 29], [1, 29, 3], [29, 1, 29]], ids=str)
def test_a_classifier_reads_the_pooled_word(flat_classifier: HFModel, row: list[int]) -> None:
    import torch

    model, ids = flat_classifier.model, torch.as_tensor([row])
    with torch.no_grad():
        everywhere = model.score(model.transformer(ids).last_hidden_state)[0].double().numpy()
    logits = flat_classifier.loaded.classify(np.array([row]), None, None, None).logits[0]

    position = int(pooled_positions(np.array([row]), 29, installed_rules(flat_classifier))[0])
    np.testing.assert_allclose(logits, everywhere[position], atol=1e-5)
    others = [index for index in range(len(row)) if index != position]
    assert all(np.abs(logits - everywhere[index]).max() > 1e-3 for index in others)


@pytest.fixture(scope="session")
def flat_classifier(hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    """The drawn GPT-2 as a classifier."""
    folder = drawn_checkpoints["gpt2"]
    return hf_models.load(folder, task="text-classification", engine=hf_model.engine, pad_token_id=29)


def test_every_rule_is_shown() -> None:
    assert SHOWN.keys() | ELSEWHERE == {rule.name for rule in fields(Rules)}
    assert LACKING.keys() == {name for engine in ("torch", "tensorflow") for name in Rules.of("4.30", engine).lacking}
