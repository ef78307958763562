from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.properties import check_alone, check_prefix, check_unchanged
from pytest_hfmodels.properties.logits import own_logits
from pytest_hfmodels.reference import Rules, Settings, beam_search

from ..tiny_gpt2 import tiny_weights, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines import Generation, LoadedModel

IDS, MASK = [[7, 7, 72], [33, 72, 105], [7, 40, 41]], [[0, 0, 1], [1, 1, 1], [0, 1, 1]]
FOUR = Settings(max_new_tokens=4)
BEAMS = Settings(max_new_tokens=4, num_beams=2, num_return_sequences=2)


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture
def indifferent(models: ModelCache, tmp_path: Path) -> HFModel:
    """A model to which all tokens are equally likely, whatever came before."""
    weights = {name: np.zeros_like(values) for name, values in tiny_weights().items()}
    return models.load(write_checkpoint(tmp_path / "indifferent", weights=weights))


@pytest.mark.parametrize("asked", [FOUR, BEAMS], ids=["greedy", "beams"])
def test_batch_cache_and_length_limit_change_nothing(bot: HFModel, asked: Settings) -> None:
    assert check_alone(bot, IDS, MASK, asked) is None
    assert check_unchanged(bot, IDS, MASK, asked, use_cache=False) is None
    assert asked is BEAMS or check_prefix(bot, IDS, MASK, asked, 2) is None


def falsify(
    monkeypatch: pytest.MonkeyPatch, model: HFModel, *, token: int, where: int | slice = slice(None), batch: int = 2
) -> None:
    """Let the library return another last token for batches of at least this size."""
    generate = type(model.loaded).generate

    def falsified(self: LoadedModel, ids: Any, mask: Any, asked: Any) -> Generation:
        found = generate(self, ids, mask, asked)
        if len(ids) < batch:
            return found
        sequences = found.sequences.copy()
        sequences[where, -1] = token
        return replace(found, sequences=sequences)

    monkeypatch.setattr(type(model.loaded), "generate", falsified)


def test_a_prompt_that_its_batch_changes_is_found(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    falsify(monkeypatch, bot, token=0, where=2)

    found = check_alone(bot, IDS, MASK, FOUR)

    assert found is not None
    what, _, line = str(found).splitlines()
    assert what.startswith("after [40, 41] alone comes [")
    assert what.endswith(", 0] in the batch")
    assert eval(line, {"check_alone": check_alone, "Settings": Settings, "hf_model": bot}) == found


def test_a_tie_may_fall_differently_in_a_batch(indifferent: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    falsify(monkeypatch, indifferent, token=77, where=1)

    assert check_alone(indifferent, IDS, MASK, FOUR) is None


@pytest.mark.parametrize("asked", [Settings(max_new_tokens=2, no_repeat_ngram_size=1), Settings(max_length=5)], ids=str)
def test_settings_that_read_padding_are_refused_with_padding(bot: HFModel, asked: Settings) -> None:
    with pytest.raises(ValueError, match=r"(no_repeat_ngram_size|max_length) read or count padding"):
        check_alone(bot, IDS, MASK, asked)
    assert check_alone(bot, [[72, 105], [33, 34]], None, replace(asked, max_length=None, max_new_tokens=2)) is None


def test_an_argument_that_changes_something_is_found(bot: HFModel) -> None:
    found = check_unchanged(bot, IDS, MASK, FOUR, min_new_tokens=4, bad_words_ids=[[token] for token in range(32, 120)])

    assert found is not None
    what, _, line = str(found).splitlines()
    assert what.startswith("after [7, 7, 72] with min_new_tokens=4, bad_words_ids=[[32], ")
    assert what.endswith(" without")
    assert eval(line, {"check_unchanged": check_unchanged, "Settings": Settings, "hf_model": bot}) == found


def test_an_argument_that_changes_a_score_is_found(bot: HFModel) -> None:
    found = check_unchanged(bot, IDS, MASK, BEAMS, length_penalty=2.0)

    assert found is not None
    assert " with a score of " in found.what


def test_a_beginning_that_depends_on_the_length_is_found(bot: HFModel) -> None:
    forced = Settings(max_new_tokens=4, forced_eos_token_id=65)

    found = check_prefix(bot, IDS, MASK, forced, shorter=2)

    assert found is not None
    what, _, line = str(found).splitlines()
    assert what.startswith("after [7, 7, 72] came [")
    assert what.endswith(", 65] where it was cut off after 2 tokens")
    assert eval(line, {"check_prefix": check_prefix, "Settings": Settings, "hf_model": bot}) == found


def test_a_beginning_that_is_missing_is_found(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = type(bot.loaded).generate

    def short(self: LoadedModel, ids: Any, mask: Any, asked: Any) -> Generation:
        found = generate(self, ids, mask, asked)
        return replace(found, sequences=found.sequences[:, :-1]) if asked["max_new_tokens"] == 2 else found

    monkeypatch.setattr(type(bot.loaded), "generate", short)

    assert check_prefix(bot, IDS, MASK, FOUR, 2) is not None


def test_the_rule_that_beams_stop_only_together_is_named(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """As 4.50 to 4.53 do."""
    rules = Rules.of("4.53.3")
    ends = (39, 34, 49, 108, 93, 117, 79, 89, 123, 100, 91, 83)
    asked = Settings(max_new_tokens=8, num_beams=2, num_return_sequences=2, eos_token_id=ends)
    prompts = [[112, 92, 80], [58, 61, 36]]
    generate = type(bot.loaded).generate

    def together(self: LoadedModel, ids: Any, mask: Any, given: Any) -> Generation:
        found = generate(self, ids, mask, given)
        if len(ids) < 2:
            return found
        beams = beam_search(own_logits(bot, ids.shape[1]), ids, mask, asked, rules)
        return replace(
            found, sequences=beams.ids, sequence_scores=beams.scores, steps=found.steps[:0], beam_indices=None
        )

    monkeypatch.setattr(type(bot.loaded), "generate", together)
    monkeypatch.setattr("pytest_hfmodels.properties.invariance.installed_rules", lambda _: rules)

    found = check_alone(bot, prompts, None, asked)

    assert found is not None
    assert "all prompts of a batch stop together (4.50 to 4.53)" in found.what
