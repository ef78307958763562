"""Hypothesis strategies for padded batches and for settings that every release accepts together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from pytest_hfmodels.reference import Settings

from .flat_gpt2 import VOCABULARY

if TYPE_CHECKING:
    from pytest_hfmodels.reference import Rules
    from pytest_hfmodels.reference.search import IntArray

PAD = 29
tokens = st.integers(0, VOCABULARY - 1)
few_tokens = st.lists(tokens, min_size=1, max_size=3, unique=True)
words = st.lists(tokens, min_size=1, max_size=3).map(tuple)


@st.composite
def batches(draw: st.DrawFn) -> tuple[IntArray, IntArray]:
    """Prompts of 1 to 6 tokens, half of them of a few only, padded on the left to the longest: ids and mask."""
    prompts = []
    for _ in range(draw(st.integers(1, 3))):
        token = st.sampled_from(draw(few_tokens)) if draw(st.booleans()) else tokens
        prompts.append(draw(st.lists(token, min_size=1, max_size=6)))
    length = max(map(len, prompts))
    ids = [[PAD] * (length - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return np.array(ids), np.array(mask)


@st.composite
def settings_as_a_whole(draw: st.DrawFn, *, rules: Rules, beams: bool, prompt_length: int) -> Settings:
    """Settings with at most a few processors at once, valid for a release."""
    chosen: dict[str, Any] = {"max_new_tokens": draw(st.integers(1, 9))}
    eos = draw(st.lists(tokens, max_size=3, unique=True))
    if eos:
        chosen["eos_token_id"] = eos[0] if len(eos) == 1 else eos
        chosen["pad_token_id"] = draw(st.sampled_from([PAD, 0, eos[0]]))
    if beams:
        chosen |= draw(_of_beams())
    for name in draw(st.lists(st.sampled_from(sorted(_PROCESSORS)), max_size=3, unique=True)):
        chosen |= draw(_PROCESSORS[name])
    if not rules.sequences_need_their_length and rules.spare_beams_for_one_eos:
        chosen.pop("sequence_bias", None)  # before 4.31 there is none
    forced = {chosen.get("forced_bos_token_id"), chosen.get("forced_eos_token_id")}
    if forced & set(chosen.get("suppress_tokens", ())):
        del chosen["suppress_tokens"]  # 5.23 refuses it: nothing would be left
    if "min_length" in chosen:
        chosen["min_length"] = min(chosen["min_length"], prompt_length + chosen["max_new_tokens"])
    if "min_new_tokens" in chosen:
        chosen["min_new_tokens"] = min(chosen["min_new_tokens"], chosen["max_new_tokens"])
    if not eos:
        chosen.pop("exponential_decay_length_penalty", None)
    elif "exponential_decay_length_penalty" in chosen and (beams or "remove_invalid_values" in chosen):
        for name in _BANNING if rules.decay_frees_the_banned or "remove_invalid_values" in chosen else ():
            chosen.pop(name, None)
    return Settings(**chosen)


@st.composite
def _of_beams(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(2, 4))
    return {
        "num_beams": count,
        "num_return_sequences": draw(st.integers(1, count)),
        "length_penalty": draw(st.sampled_from([1.0, 0.0, -1.0, 0.5, 2.0])),
        "early_stopping": draw(st.sampled_from([False, True, "never"])),
    }


def _named(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return values.map(lambda value: {name: value})


_PROCESSORS = {
    name: _named(name, values)
    for name, values in {
        "sequence_bias": st.dictionaries(words, st.sampled_from([-5.0, -0.5, 0.5, 3.0]), min_size=1, max_size=4),
        "repetition_penalty": st.sampled_from([0.7, 1.3, 2.0]),
        "no_repeat_ngram_size": st.integers(1, 4),
        "bad_words_ids": st.lists(words, min_size=1, max_size=4),
        "min_length": st.integers(1, 12),
        "min_new_tokens": st.integers(1, 9),
        "forced_bos_token_id": tokens,
        "forced_eos_token_id": tokens,
        "remove_invalid_values": st.just(True),
        "exponential_decay_length_penalty": st.tuples(st.integers(0, 4), st.sampled_from([1.05, 1.5])),
        "suppress_tokens": few_tokens,
        "begin_suppress_tokens": few_tokens,
        "renormalize_logits": st.just(True),
    }.items()
}
_BANNING = (
    "sequence_bias",
    "no_repeat_ngram_size",
    "bad_words_ids",
    "min_length",
    "min_new_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
