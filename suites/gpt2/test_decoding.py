"""Every decision and every score of `generate` agrees with the reference, for any settings, batch and padding.

`pytest_hfmodels.reference.Rules` lists the rules in which releases and engines differ.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason='needs the extra: python -m pip install "pytest-hfmodels[properties]"')

from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.properties import check_decoding, examples, generation_settings, installed_rules, padded_batches
from pytest_hfmodels.reference import Settings
from suites.drawn import GPT2, gpt2_checkpoint
from suites.gpt2 import EOS, PROMPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels import HFModel, ModelCache

VOCABULARY = GPT2["vocab_size"]
on_torch = pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
on_tensorflow = pytest.mark.hf_model("tiny-gpt2", engines=["tensorflow"])


@on_torch
@examples(70)
@given(data=st.data())
def test_every_greedy_choice_is_the_best(flat: HFModel, data: st.DataObject) -> None:
    decides_rightly(flat, data, range(VOCABULARY), beams=False)


@on_torch
@examples(90)
@given(data=st.data())
def test_every_beam_is_the_best(flat: HFModel, data: st.DataObject) -> None:
    decides_rightly(flat, data, range(VOCABULARY), beams=True)


@on_torch
@examples(16)
@given(data=st.data(), beams=st.booleans())
def test_every_choice_of_a_trained_model_is_the_best(hf_model: HFModel, data: st.DataObject, beams: bool) -> None:
    decides_rightly(hf_model, data, words(hf_model), beams=beams)


@on_tensorflow
@examples(14)
@given(data=st.data())
def test_every_greedy_choice_of_tensorflow_is_the_best(flat: HFModel, data: st.DataObject) -> None:
    decides_rightly(flat, data, range(VOCABULARY), beams=False)


@on_tensorflow
@examples(16)
@given(data=st.data())
def test_every_beam_of_tensorflow_is_the_best(flat: HFModel, data: st.DataObject) -> None:
    decides_rightly(flat, data, range(VOCABULARY), beams=True)


@on_tensorflow
@examples(4)
@given(data=st.data(), beams=st.booleans())
def test_every_choice_of_a_trained_model_in_tensorflow_is_the_best(
    hf_model: HFModel, data: st.DataObject, beams: bool
) -> None:
    decides_rightly(hf_model, data, words(hf_model), beams=beams)


def decides_rightly(model: HFModel, data: st.DataObject, tokens: Sequence[int], *, beams: bool) -> None:
    ids, mask = data.draw(padded_batches(tokens))
    drawn = generation_settings(
        tokens, prompt_length=len(ids[0]), rules=installed_rules(model), beams=beams, prompts=ids
    )
    asked = data.draw(drawn)

    counterexample = check_decoding(model, ids, mask, asked)

    assert counterexample is None, str(counterexample)


def words(model: HFModel) -> list[int]:
    """Return ids that the model generates often, so that settings with ids have an effect."""
    return sorted({*model.tokenizer.encode(PROMPT), EOS})


# The ids that the model generates most often, so that beams end often and at different lengths.
LIKELY = [27, 16, 7, 25, 10, 23, 22]
BEAMS = Settings(max_new_tokens=12, num_beams=3, num_return_sequences=3, eos_token_id=[27, 16, 7])
ENDING = {
    "greedy": Settings(max_new_tokens=8, eos_token_id=LIKELY),
    "many-ends": replace(BEAMS, eos_token_id=LIKELY),
    "long-is-better": replace(BEAMS, length_penalty=2.0, pad_token_id=29),
    "short-is-better": replace(BEAMS, length_penalty=-1.0, eos_token_id=27),
    "early": replace(BEAMS, num_return_sequences=2, early_stopping=True),
    "never": replace(
        BEAMS, num_beams=2, num_return_sequences=2, eos_token_id=LIKELY, length_penalty=2.0, early_stopping="never"
    ),
}


@pytest.mark.parametrize("search", ENDING)
def test_many_eos_tokens(flat_gpt2: HFModel, search: str) -> None:
    prompts = np.random.Generator(np.random.PCG64(3)).integers(0, VOCABULARY, (12, 4)).tolist()

    counterexample = check_decoding(flat_gpt2, prompts, None, ENDING[search])

    assert counterexample is None, str(counterexample)


def test_the_default_length_is_twenty_tokens(flat_gpt2: HFModel) -> None:
    for asked in (Settings(), Settings(num_beams=2)):
        counterexample = check_decoding(flat_gpt2, [[1, 2, 3], [7, 7, 7]], None, asked)

        assert counterexample is None, str(counterexample)


@pytest.mark.parametrize("penalty", [1.0, 0.0])
def test_exhaustive_beams_find_the_best_sequences_in_order(five_words: HFModel, penalty: float) -> None:
    every = np.array(list(itertools.product(range(5), repeat=3)))
    asked: dict[str, Any] = {"max_new_tokens": 3, "num_beams": len(every), "num_return_sequences": len(every)}
    length = 4 if installed_rules(five_words).length_penalty_counts_prompt else 3

    for word in range(5):
        prompted = np.hstack([np.full((len(every), 1), word), every])
        following = five_words.log_probabilities(prompted[:, :-1].tolist())
        totals = np.take_along_axis(following, every[..., np.newaxis], axis=2).sum(axis=(1, 2))
        found = five_words.generate_batch([[word]], length_penalty=penalty, **asked)

        best = np.argsort(-totals)
        assert sorted(map(tuple, found.sequences.tolist())) == list(map(tuple, prompted.tolist()))
        assert found.sequences[0].tolist() == prompted[best[0]].tolist()
        assert found.sequence_scores is not None
        np.testing.assert_allclose(found.sequence_scores, totals[best] / length**penalty, atol=1e-5)


@pytest.fixture(scope="session")
def five_words(gpt2: HFModel, hf_models: ModelCache, tmp_path_factory: pytest.TempPathFactory) -> HFModel:
    """A drawn GPT-2 with five tokens, few enough to try every sequence."""
    folder = gpt2_checkpoint(tmp_path_factory.mktemp("five-words") / "five-words", seed=9, vocab_size=5)
    return hf_models.load(folder, task="text-generation", engine=gpt2.engine)
