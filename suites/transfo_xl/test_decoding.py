"""Every decision of `generate` agrees with the reference for a model with a memory, shorter than the text or not.

Transformer-XL takes no mask, so all prompts of a batch have one length. The reference reads the prompt at once, then
word by word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.properties import (
    check_alone,
    check_decoding,
    check_prefix,
    examples,
    generation_settings,
    installed_rules,
    prompt_batches,
)
from suites.drawn import TRANSFO_XL
from suites.transfo_xl import PROMPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.reference import Settings

VOCABULARY = TRANSFO_XL["vocab_size"]
batches = prompt_batches(VOCABULARY, lengths=(1, 9), batch=8)


def drawn_settings(
    model: HFModel,
    data: st.DataObject,
    prompts: Sequence[Sequence[int]],
    *,
    beams: bool | None,
    without: Sequence[str] = (),
) -> Settings:
    return data.draw(
        generation_settings(
            VOCABULARY, prompt_length=len(prompts[0]), rules=installed_rules(model), beams=beams, without=without
        )
    )


@examples(14)
@given(prompts=batches, data=st.data())
def test_every_greedy_choice_is_the_best(
    flat_transfo_xl: HFModel, prompts: list[list[int]], data: st.DataObject
) -> None:
    asked = drawn_settings(flat_transfo_xl, data, prompts, beams=False)

    counterexample = check_decoding(flat_transfo_xl, prompts, None, asked)

    assert counterexample is None, str(counterexample)


@examples(18)
@given(prompts=batches, data=st.data())
def test_every_beam_is_the_best(flat_transfo_xl: HFModel, prompts: list[list[int]], data: st.DataObject) -> None:
    asked = drawn_settings(flat_transfo_xl, data, prompts, beams=True)

    counterexample = check_decoding(flat_transfo_xl, prompts, None, asked)

    assert counterexample is None, str(counterexample)


@examples(6)
@given(data=st.data(), beams=st.booleans())
def test_every_choice_of_a_trained_model_is_the_best(transfo_xl: HFModel, data: st.DataObject, beams: bool) -> None:
    words = sorted({0, *transfo_xl.tokenizer.encode(PROMPT)})
    word = st.sampled_from(words)
    length = data.draw(st.integers(1, 6))
    prompts = data.draw(st.lists(st.lists(word, min_size=length, max_size=length), min_size=1, max_size=6))
    drawn = generation_settings(words, prompt_length=length, rules=installed_rules(transfo_xl), beams=beams)

    counterexample = check_decoding(transfo_xl, prompts, None, data.draw(drawn))

    assert counterexample is None, str(counterexample)


@examples(5)
@given(prompts=prompt_batches(VOCABULARY, lengths=(1, 9), batch=4), data=st.data())
def test_a_prompt_is_continued_alone_as_in_a_batch(
    flat_transfo_xl: HFModel, prompts: list[list[int]], data: st.DataObject
) -> None:
    asked = drawn_settings(flat_transfo_xl, data, prompts, beams=False)

    counterexample = check_alone(flat_transfo_xl, prompts, None, asked)

    assert counterexample is None, str(counterexample)


@examples(6)
@given(prompts=batches, data=st.data(), shorter=st.integers(1, 9))
def test_a_shorter_continuation_is_a_prefix(
    flat_transfo_xl: HFModel, prompts: list[list[int]], data: st.DataObject, shorter: int
) -> None:
    left_out = ("forced_eos_token_id", "max_length", "min_length", "min_new_tokens")
    asked = drawn_settings(flat_transfo_xl, data, prompts, beams=False, without=left_out)

    counterexample = check_prefix(flat_transfo_xl, prompts, None, asked, min(shorter, asked.max_new_tokens or shorter))

    assert counterexample is None, str(counterexample)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_prompt_may_be_text_or_ids(transfo_xl: HFModel, beams: int) -> None:
    by_text, by_ids = (
        transfo_xl.generate(prompt, num_beams=beams, max_new_tokens=12)
        for prompt in (PROMPT, transfo_xl.tokenizer.encode(PROMPT))
    )

    assert by_text.ids == by_ids.ids
    assert by_text.steps == by_ids.steps
    assert by_text.beams == by_ids.beams
