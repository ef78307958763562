from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import (
    Counterexample,
    check_decoding,
    generation_settings,
    installed_rules,
    padded_batches,
)
from pytest_hfmodels.properties.decoding import resolved
from pytest_hfmodels.reference import Rules, Settings

from ..surroundings import needs_both_engines
from ..tiny_gpt2 import END_OF_TEXT, VOCABULARY
from .shrinking import smallest

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines import Generation, LoadedModel

    from ..project import Project

ONE = Settings(max_new_tokens=1)


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_the_library_agrees_with_the_reference(models: ModelCache, data: st.DataObject) -> None:
    bot = models.load("./model")
    ids, mask = data.draw(padded_batches(VOCABULARY, batch=4))
    drawn = generation_settings(VOCABULARY, prompt_length=len(ids[0]), rules=installed_rules(bot), prompts=ids)

    assert check_decoding(bot, ids, mask, data.draw(drawn)) is None


@needs_both_engines
@pytest.mark.parametrize("beams", [1, 3])
def test_tensorflow_agrees_with_its_rules(models: ModelCache, beams: int) -> None:
    bot = models.load("./model", engine="tensorflow")
    asked = Settings(max_new_tokens=4, num_beams=beams, num_return_sequences=beams, no_repeat_ngram_size=1)

    assert check_decoding(bot, [[7, 7, 72], [33, 72, 105]], [[0, 0, 1], [1, 1, 1]], asked) is None


@pytest.fixture
def _soft_on_repetition(models: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library takes half of the repetition penalty that it is given."""
    del models
    from transformers import RepetitionPenaltyLogitsProcessor as Processor

    call = Processor.__call__

    def soften(self: Any, input_ids: Any, scores: Any) -> Any:
        return (call(self, input_ids, scores.clone()) + scores) / 2

    monkeypatch.setattr(Processor, "__call__", soften)


@pytest.mark.usefixtures("_soft_on_repetition")
def test_a_score_that_is_wrong_is_named(bot: HFModel) -> None:
    found = check_decoding(bot, [[72, 105]], None, Settings(max_new_tokens=1, repetition_penalty=2.0))

    assert found is not None
    assert re.match(
        r"after \[72, 105\] came \[\d+\]: at generated token 1 of sequence 1 the score of token 72 is \S+ "
        r"instead of \S+\nRepeat it with\n",
        str(found),
    )


@pytest.mark.usefixtures("_soft_on_repetition")
@pytest.mark.parametrize("beams", [1, 2])
def test_the_last_line_reproduces_the_failure(bot: HFModel, beams: int) -> None:
    asked = Settings(max_new_tokens=2, repetition_penalty=2.0, num_beams=beams, eos_token_id=[3, 4])
    found = check_decoding(bot, [[1, 72, 33], [72, 105, 33]], [[0, 1, 1], [1, 1, 1]], asked)
    assert found is not None
    line = str(found).splitlines()[-1]

    again = eval(line, {"check_decoding": check_decoding, "Settings": Settings, "hf_model": bot})

    assert line.startswith("check_decoding(hf_model, [[72, 33]], [[1, 1]], Settings(max_new_tokens=2")
    assert again == found


@pytest.mark.usefixtures("_soft_on_repetition")
def test_further_arguments_are_in_the_line(bot: HFModel) -> None:
    found = check_decoding(bot, [[72]], None, Settings(max_new_tokens=1, repetition_penalty=2.0), use_cache=False)

    assert found is not None
    assert found.again == (
        "check_decoding(hf_model, [[72]], [[1]], Settings(max_new_tokens=1, repetition_penalty=2.0), use_cache=False)"
    )


@pytest.mark.usefixtures("_soft_on_repetition")
def test_a_fault_shrinks_to_one_prompt_and_the_setting_that_shows_it(bot: HFModel) -> None:
    @st.composite
    def calls(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]], Settings]:
        ids, mask = draw(padded_batches(VOCABULARY, batch=3))
        return ids, mask, draw(generation_settings(VOCABULARY, prompt_length=len(ids[0]), rules=installed_rules(bot)))

    ids, mask, asked = smallest(calls(), lambda call: check_decoding(bot, *call) is not None, examples=60)

    assert (ids, mask) == ([[0]], [[1]])
    assert asked == Settings(max_new_tokens=1, repetition_penalty=1.3)


FAILING = """
import pytest
from hypothesis import given, reproduce_failure, strategies as st
from pytest_hfmodels.properties import check_decoding, examples, padded_batches
from pytest_hfmodels.reference import Settings

@pytest.fixture(autouse=True, scope="module")
def soft():
    from transformers import RepetitionPenaltyLogitsProcessor as Processor

    with pytest.MonkeyPatch.context() as patch:
        call = Processor.__call__
        patch.setattr(Processor, "__call__", lambda self, ids, scores: (call(self, ids, scores.clone()) + scores) / 2)
        yield

@pytest.mark.hf_model("./model")
@examples(8)
@given(batch=padded_batches(9, batch=2, lengths=(1, 2)), penalty=st.sampled_from([1.0, 1.3]))
def test_decoding(hf_model, batch, penalty):
    found = check_decoding(hf_model, *batch, Settings(max_new_tokens=1, repetition_penalty=penalty))
    assert found is None, str(found)
"""


def test_the_line_that_hypothesis_prints_replays_a_failure(project: Project) -> None:
    project.write(FAILING)
    failed = project.run("--hfmodels-profile=ci").stdout.str()
    line = re.search(r"@reproduce_failure\('[^']+', b'[^']+'\)", failed)
    assert line is not None
    assert (counterexample := re.search(r"check_decoding\(hf_model, \[\[.*", failed)) is not None

    project.write(FAILING.replace("@examples(8)", line[0]))
    replayed = project.run("--hfmodels-profile=dev").stdout.str()

    assert counterexample[0] in replayed
    assert "Settings(max_new_tokens=1, repetition_penalty=1.3))" in counterexample[0]


@pytest.fixture
def _deaf_to_masks(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads padding as if it were words."""
    generate = type(bot.loaded).generate

    def deaf(self: LoadedModel, ids: Any, _: Any, asked: Any) -> Generation:
        return generate(self, ids, None, asked)

    monkeypatch.setattr(type(bot.loaded), "generate", deaf)


@pytest.mark.usefixtures("_deaf_to_masks")
def test_a_fault_that_padding_shows_keeps_its_padding(bot: HFModel) -> None:
    found = check_decoding(bot, [[0, 0, 72], [33, 72, 105]], [[0, 0, 1], [1, 1, 1]], ONE)

    assert found is not None
    assert (found.ids, found.mask) == (((0, 0, 72),), ((0, 0, 1),))


@pytest.fixture
def _mixes_rows_up(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library continues every prompt of a batch as the first."""
    generate = type(bot.loaded).generate

    def mixed(self: LoadedModel, ids: Any, mask: Any, asked: Any) -> Generation:
        found = generate(self, ids, mask, asked)
        sequences = found.sequences.copy()
        sequences[:, ids.shape[1] :] = sequences[0, ids.shape[1] :]
        return replace(found, sequences=sequences)

    monkeypatch.setattr(type(bot.loaded), "generate", mixed)


@pytest.mark.usefixtures("_mixes_rows_up")
def test_a_fault_that_needs_a_batch_keeps_the_batch(bot: HFModel) -> None:
    prompts = [[72, 105], [104, 33], [33, 34]]

    found = check_decoding(bot, prompts, None, Settings(max_new_tokens=3))

    assert found is not None
    assert found.ids == tuple(map(tuple, prompts))
    assert "generated token 1 is" in found.what


def test_other_rules_are_checked(bot: HFModel) -> None:
    asked = Settings(max_new_tokens=3, num_beams=2, length_penalty=2.0)
    rules = installed_rules(bot)
    contrary = replace(rules, length_penalty_counts_prompt=not rules.length_penalty_counts_prompt)

    assert check_decoding(bot, [[72, 105]], None, asked, rules) is None
    assert check_decoding(bot, [[72, 105]], None, asked, contrary) is not None


def test_rules_are_those_of_the_release_and_the_engine(bot: HFModel) -> None:
    import transformers

    assert installed_rules(bot) == Rules.of(transformers.__version__)


def test_the_models_own_settings_fill_the_gaps(bot: HFModel) -> None:
    found = resolved(bot, Settings(num_beams=2))

    assert found.eos_token_id == END_OF_TEXT
    assert found.num_beams == 2
    assert found.max_length is None  # 20, which releases write there, is no length that somebody chose
    assert resolved(bot, Settings(eos_token_id=[5])).eos_token_id == [5]


def test_the_tolerance_is_used(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = type(bot.loaded).generate

    def nudged(self: LoadedModel, ids: Any, mask: Any, asked: Any) -> Generation:
        found = generate(self, ids, mask, asked)
        return replace(found, steps=[step + 0.001 for step in found.steps])

    monkeypatch.setattr(type(bot.loaded), "generate", nudged)

    assert check_decoding(bot, [[72]], None, ONE) is not None
    assert check_decoding(bot, [[72]], None, ONE, tolerance=0.01) is None


def test_a_counterexample_reads_as_a_sentence_and_a_line() -> None:
    found = Counterexample(((1, 2),), ((1, 1),), Settings(num_beams=2), "after [1, 2] came [3]: it should be [4]")

    assert str(found) == (
        "after [1, 2] came [3]: it should be [4]\n"
        "Repeat it with\n"
        "check_decoding(hf_model, [[1, 2]], [[1, 1]], Settings(num_beams=2))"
    )


def test_rows_may_be_arrays(bot: HFModel) -> None:
    assert check_decoding(bot, np.array([[72, 105]]), np.ones((1, 2), int), ONE) is None  # type: ignore[arg-type]
