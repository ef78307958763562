"""What `generate` makes of what it is not told: mask, padding, sampling, the model's own configuration.

And the logits that it returns beside the scores. `test_defaults` has what moved between releases.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines.upstream import release_at_least
from suites.calls import generated, numbers, rows
from suites.drawn import gpt2_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache

PROMPTS = [[5, 3, 9, 4], [2, 2, 7, 1], [8, 13, 21, 3]]
PADDED = [[29, 29, 9, 4], [29, 2, 7, 1], [8, 13, 21, 3]]
SUPPRESSED = list(range(0, 24, 2))


def test_nothing_is_sampled(flat_gpt2: HFModel) -> None:
    greedy = flat_gpt2.generate_batch(PROMPTS, max_new_tokens=8).sequences.tolist()

    assert rows(generated(flat_gpt2, PROMPTS, max_new_tokens=8)) == greedy


def test_padding_in_the_prompt_is_masked(flat_gpt2: HFModel) -> None:
    seen, unseen = np.ones((3, 4), int), (np.array(PADDED) != 29).astype(int)

    def continued(**arguments: Any) -> list[list[int]]:
        return rows(generated(flat_gpt2, PADDED, max_new_tokens=8, pad_token_id=29, **arguments))

    assert continued() == continued(attention_mask=unseen) != continued(attention_mask=seen)


def test_padding_that_is_also_eos_is_read(flat_gpt2: HFModel) -> None:
    seen, unseen = np.ones((3, 4), int), (np.array(PADDED) != 29).astype(int)

    def continued(**arguments: Any) -> list[list[int]]:
        return rows(generated(flat_gpt2, PADDED, max_new_tokens=8, pad_token_id=29, eos_token_id=29, **arguments))

    assert continued() == continued(attention_mask=seen) != continued(attention_mask=unseen)


def test_a_prompt_without_padding_needs_no_mask(flat_gpt2: HFModel) -> None:
    def continued(**arguments: Any) -> list[list[int]]:
        return rows(generated(flat_gpt2, PROMPTS, max_new_tokens=8, **arguments))

    assert continued() == continued(attention_mask=np.ones((3, 4), int))


def test_a_passed_config_keeps_the_models_other_settings(flat_gpt2: HFModel, silenced: HFModel) -> None:
    from transformers import GenerationConfig

    by_keywords = rows(generated(silenced, PROMPTS, max_new_tokens=4))
    assert not {token for row in by_keywords for token in row[4:]} & {*SUPPRESSED}

    by_config = rows(generated(silenced, PROMPTS, generation_config=GenerationConfig(max_new_tokens=4)))

    assert by_config == by_keywords != rows(generated(flat_gpt2, PROMPTS, max_new_tokens=4))


@pytest.fixture(scope="session")
def silenced(gpt2: HFModel, hf_models: ModelCache, tmp_path_factory: pytest.TempPathFactory) -> HFModel:
    """`flat_gpt2` with a generation configuration that suppresses some tokens, saved by a current release."""
    folder = gpt2_checkpoint(tmp_path_factory.mktemp("silenced") / "silenced")
    return _with_defaults(folder, gpt2, hf_models, suppress_tokens=SUPPRESSED)


def test_a_passed_default_overrides_the_models_own_setting(
    flat_gpt2: HFModel, gpt2: HFModel, hf_models: ModelCache, tmp_path: Path
) -> None:
    with_beams = _with_defaults(gpt2_checkpoint(tmp_path / "with-beams"), gpt2, hf_models, num_beams=3)
    greedy = rows(generated(flat_gpt2, PROMPTS, max_new_tokens=8))
    assert rows(generated(with_beams, PROMPTS, max_new_tokens=8)) != greedy

    assert rows(generated(with_beams, PROMPTS, max_new_tokens=8, num_beams=1)) == greedy


def _with_defaults(folder: Path, gpt2: HFModel, hf_models: ModelCache, **own: Any) -> HFModel:
    """Load a checkpoint with a generation configuration."""
    text = json.dumps({**own, "transformers_version": "4.57.6"})
    (folder / "generation_config.json").write_text(text, encoding="utf-8")
    return hf_models.load(folder, task="text-generation", engine=gpt2.engine)


PROCESSED: dict[str, dict[str, Any]] = {
    "ngrams": {"no_repeat_ngram_size": 1},
    "repetition": {"repetition_penalty": 1.5},
    "bad-words": {"bad_words_ids": [[token] for token in SUPPRESSED]},
    "suppressed": {"suppress_tokens": SUPPRESSED, "begin_suppress_tokens": [1, 3, 5, 7]},
    "least-length": {"min_length": 9, "eos_token_id": 1, "pad_token_id": 0},
    "forced": {"forced_eos_token_id": 1},
}


@pytest.mark.skipif(not release_at_least("4.38"), reason="generate returns logits from 4.38 on: use a later release")
@pytest.mark.hf_model("tiny-gpt2", engines=["torch"])
@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("processor", PROCESSED)
def test_the_returned_logits_are_the_models_own(flat: HFModel, processor: str, beams: int) -> None:
    output = generated(
        flat,
        PROMPTS,
        max_new_tokens=5,
        num_beams=beams,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        **PROCESSED[processor],
    )

    own = flat.forward(rows(output.sequences)).logits
    for step, logits in enumerate(output.logits):
        found = numbers(logits)
        for prompt in range(len(PROMPTS)):
            row = prompt if beams == 1 else int(output.beam_indices[prompt, step])
            np.testing.assert_allclose(found[row], own[prompt, 3 + step], atol=2e-5)
