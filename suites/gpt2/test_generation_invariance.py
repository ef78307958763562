"""What must not change a continuation: batch, padding, cache, threads, engine, form of the prompt, length limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hfmodels.engines import missing
from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.engines.upstream import release_at_least
from pytest_hfmodels.properties import (
    READING_PADDING,
    check_alone,
    check_prefix,
    check_unchanged,
    examples,
    generation_settings,
    installed_rules,
    padded_batches,
)
from pytest_hfmodels.properties.decoding import difference, observed
from pytest_hfmodels.reference import Rules, Settings
from suites.calls import generated, rows
from suites.drawn import GPT2
from suites.gpt2 import PROMPT

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache

    Batch = tuple[list[list[int]], list[list[int]]]

VOCABULARY = GPT2["vocab_size"]
TORCH = Rules.of(installed("transformers") or "0.0")
TENSORFLOW = Rules.of(installed("transformers") or "0.0", "tensorflow")
on_torch = pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
on_tensorflow = pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])


def inert(rules: Rules, *, beams: bool) -> st.SearchStrategy[Settings]:
    """Return settings that do not read padding."""
    left_out = (*READING_PADDING, "max_length")
    return generation_settings(VOCABULARY, prompt_length=6, rules=rules, beams=beams, without=left_out)


# Two of these prompts find better beams if they are searched for as long as the others.
NEIGHBOURS = ([[1, 3, 24], [7, 7, 19], [26, 1, 19], [7, 7, 13]], [[1, 1, 1], [0, 0, 1], [1, 1, 1], [0, 0, 1]])
SEARCHED_TOGETHER = Settings(
    max_new_tokens=10, num_beams=2, num_return_sequences=2, length_penalty=0.5, eos_token_id=27, pad_token_id=29
)


@on_torch
@examples(12)
@given(batch=padded_batches(VOCABULARY, batch=6), asked=inert(TORCH, beams=False))
def test_a_prompt_is_continued_alone_as_in_a_batch(flat: HFModel, batch: Batch, asked: Settings) -> None:
    same_alone(flat, batch, asked)


@on_torch
@examples(10)
@given(batch=padded_batches(VOCABULARY, batch=6), asked=inert(TORCH, beams=True))
@example(batch=NEIGHBOURS, asked=SEARCHED_TOGETHER)
def test_a_prompt_has_the_same_beams_alone_as_in_a_batch(flat: HFModel, batch: Batch, asked: Settings) -> None:
    same_alone(flat, batch, asked)


@on_tensorflow
@examples(3)
@given(batch=padded_batches(VOCABULARY, batch=4), asked=inert(TENSORFLOW, beams=False))
def test_a_prompt_is_continued_alone_as_in_a_batch_of_tensorflows(flat: HFModel, batch: Batch, asked: Settings) -> None:
    same_alone(flat, batch, asked)


@on_tensorflow
@examples(2)
@given(batch=padded_batches(VOCABULARY, batch=4), asked=inert(TENSORFLOW, beams=True))
@example(batch=NEIGHBOURS, asked=SEARCHED_TOGETHER)
def test_a_prompt_has_the_same_beams_alone_as_in_a_batch_of_tensorflows(
    flat: HFModel, batch: Batch, asked: Settings
) -> None:
    same_alone(flat, batch, asked)


def same_alone(model: HFModel, batch: Batch, asked: Settings) -> None:
    counterexample = check_alone(model, *batch, asked)

    assert counterexample is None, str(counterexample)


@on_torch
@examples(15)
@given(data=st.data())
def test_the_cache_changes_nothing(flat: HFModel, data: st.DataObject) -> None:
    unchanged(flat, data, use_cache=False)


@pytest.mark.skipif(not release_at_least("4.42"), reason="GPT-2 has no sdpa attention here: install transformers>=4.42")
@on_torch
@examples(15)
@given(data=st.data())
def test_the_cache_changes_nothing_under_sdpa(flat_sdpa: HFModel, data: st.DataObject) -> None:
    unchanged(flat_sdpa, data, use_cache=False)


@pytest.mark.skipif(not release_at_least("4.52"), reason="GPT-2 has no static cache here: install transformers>=4.52")
@on_torch
@examples(10)
@given(data=st.data())
def test_a_static_cache_changes_nothing(flat: HFModel, data: st.DataObject) -> None:
    unchanged(flat, data, cache_implementation="static")


@on_tensorflow
@examples(3)
@given(data=st.data())
def test_the_cache_of_tensorflow_changes_nothing(flat: HFModel, data: st.DataObject) -> None:
    unchanged(flat, data, use_cache=False)


def unchanged(model: HFModel, data: st.DataObject, **arguments: Any) -> None:
    ids, mask = data.draw(padded_batches(VOCABULARY))
    asked = data.draw(generation_settings(VOCABULARY, prompt_length=len(ids[0]), rules=installed_rules(model)))

    counterexample = check_unchanged(model, ids, mask, asked, **arguments)

    assert counterexample is None, str(counterexample)


@on_torch
@examples(12)
@given(data=st.data(), shorter=st.integers(1, 9))
def test_a_shorter_continuation_is_a_prefix(flat: HFModel, data: st.DataObject, shorter: int) -> None:
    ids, mask = data.draw(padded_batches(VOCABULARY))
    left_out = ("forced_eos_token_id", "max_length", "min_length", "min_new_tokens")
    asked = data.draw(
        generation_settings(VOCABULARY, prompt_length=len(ids[0]), rules=TORCH, beams=False, without=left_out)
    )

    counterexample = check_prefix(flat, ids, mask, asked, min(shorter, asked.max_new_tokens or shorter))

    assert counterexample is None, str(counterexample)


@pytest.mark.skipif(missing("torch") is not None, reason="install torch")
@on_tensorflow
@examples(8)
@given(data=st.data())
def test_the_engines_agree(
    flat: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path], data: st.DataObject
) -> None:
    in_torch = hf_models.load(drawn_checkpoints["gpt2"], task="text-generation", engine="torch")
    ids, mask = data.draw(padded_batches(VOCABULARY))
    asked = data.draw(generation_settings(VOCABULARY, prompt_length=len(ids[0]), rules=TENSORFLOW))

    generation = observed(flat, ids, mask, asked)

    found = difference(in_torch, ids, mask, asked, generation, TENSORFLOW, tolerance=2e-4)
    assert found is None, f"by torch's numbers, {found}"


@on_torch
@pytest.mark.parametrize("beams", [1, 3])
def test_the_number_of_threads_changes_nothing(flat: HFModel, hf_model: HFModel, beams: int) -> None:
    prompts = np.random.Generator(np.random.PCG64(1)).integers(0, VOCABULARY, (16, 5)).tolist()
    trained = [hf_model.tokenizer.encode(PROMPT)]

    for model, texts in ((flat, prompts), (hf_model, trained)):
        alone, *shared = (
            rows(generated(model, texts, threads=number, num_beams=beams, max_new_tokens=8)) for number in (1, 2, 3, 4)
        )

        assert shared == [alone] * 3


@pytest.mark.parametrize("beams", [1, 3])
def test_a_prompt_may_be_text_or_ids(gpt2: HFModel, beams: int) -> None:
    by_text, by_ids = (
        gpt2.generate(prompt, num_beams=beams, max_new_tokens=3) for prompt in (PROMPT, gpt2.tokenizer.encode(PROMPT))
    )

    assert by_text.ids == by_ids.ids
    assert by_text.steps == by_ids.steps
    assert by_text.beams == by_ids.beams
    assert by_text.text == by_ids.text
