"""What the reference makes of scores that a search chose from, piece by piece; test_causes has whole searches."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.kinds import Beam, Step
from pytest_hfmodels.kinds.generation import search
from pytest_hfmodels.kinds.generation.search import reference_settings
from pytest_hfmodels.reference import Rules, Settings, beam_search

from ..example_records import EFFECTIVE, STEPS, beams, generation, provenance
from .asking import ask, stored
from .test_causes import BEAMS, generate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.kinds import GenerationRecord

PROMPT = (5, 6, 7)
GREEDY = Settings(max_length=4, eos_token_id=[50], pad_token_id=-1)
TWO_BEAMS = Settings(max_length=5, num_beams=2, eos_token_id=[9], pad_token_id=-1)


@pytest.fixture
def model(models: ModelCache) -> HFModel:
    return models.load("./model")


@contextmanager
def second_best_first() -> Iterator[None]:
    import torch

    def second(values: Any, *_: Any, **__: Any) -> Any:
        return torch.topk(values, 2, dim=-1).indices[..., 1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "argmax", second)
        yield


def scores(*favoured: int, size: int = 10, by: float = 1.0) -> Any:
    """Return log-probabilities of one step, the favoured tokens first."""
    row = np.full(size, -20.0)
    for rank, token in enumerate(favoured):
        row[token] = -0.5 - rank * by
    return row


def case(heard: dict[Any, Any], settings: Settings, *, floor: float = 1e-6, passes: Any = None) -> Any:
    record = generation()
    return search._Case(record, record, settings, search._Scores(heard, passes, settings.num_beams > 1), floor)


def returned(*sequences: tuple[tuple[int, ...], float]) -> GenerationRecord:
    """Return a record of a beam search, given the ids and the score of each beam."""
    return beams(beams=tuple(Beam(ids, score, "") for ids, score in sequences))


# -- settings and rules ------------------------------------------------------------------------------------------------


def test_settings_are_read_as_the_reference_takes_them() -> None:
    found, unstated = reference_settings(
        {
            **EFFECTIVE,
            "sequence_bias": [[[1, 2], 0.5]],
            "exponential_decay_length_penalty": [3, 1.5],
            "use_cache": True,
            "top_k": 50,
            "encoder_repetition_penalty": 1.2,
            "guidance_scale": 0,
        }
    )

    assert found.sequence_bias == {(1, 2): 0.5}
    assert found.exponential_decay_length_penalty == (3, 1.5)
    assert unstated == ["encoder_repetition_penalty"]


def test_a_setting_that_the_reference_does_not_state_leaves_the_search_open(model: HFModel) -> None:
    settings: dict[str, Any] = {"encoder_repetition_penalty": 1.5}
    recorded = stored(generate(model, **settings))

    with second_best_first():
        found = ask(recorded, generate(model, **settings))

    assert found.cause is None
    assert "the reference does not state encoder_repetition_penalty" in found.sentence


def test_a_search_that_is_left_open_beside_other_weights_is_theirs(model: HFModel) -> None:
    settings: dict[str, Any] = {"encoder_repetition_penalty": 1.5}
    record = stored(generate(model, **settings))
    steps = tuple(replace(step, log_probability=step.log_probability + 1e-7) for step in record.steps)
    recorded = replace(record, steps=steps, checkpoint=replace(record.checkpoint, weights="sha256:other"))

    with second_best_first():
        found = ask(recorded, generate(model, **settings))

    assert (found.cause, found.suggests) == ("checkpoint:weights", ())


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("unstated", [False, True], ids=["stated", "unstated"])
def test_processors_that_do_otherwise_while_the_same_tokens_come(
    model: HFModel, monkeypatch: pytest.MonkeyPatch, unstated: bool, beams: int
) -> None:
    module = pytest.importorskip("transformers.generation.logits_process")
    kind = module.RepetitionPenaltyLogitsProcessor
    settings: dict[str, Any] = {"repetition_penalty": 1.3, "num_beams": beams}
    settings |= {"encoder_repetition_penalty": 1.01} if unstated else {}
    recorded = stored(generate(model, **settings))
    plain = kind.__call__

    def otherwise(self: Any, ids: Any, values: Any) -> Any:
        processed = plain(self, ids, values.clone())
        return processed - 1e-3 * (processed != values)

    monkeypatch.setattr(kind, "__call__", otherwise)

    found = ask(recorded, generate(model, **settings), tolerance=1e-6)

    assert (found.verdict, found.cause) == ("drift", None if unstated else "search")
    if unstated:
        assert "the reference does not state encoder_repetition_penalty" in found.sentence
        return
    if beams > 1:  # their scores say it already
        assert "the library chooses otherwise" in found.sentence
        return
    assert "the logits processors do otherwise than recorded; the reference, by the rules of" in found.sentence


def test_every_rule_has_words() -> None:
    assert {rule.name for rule in fields(Rules)} == set(search.RULES)


def test_rules_without_a_bearing_on_the_settings_do_not_differ() -> None:
    several = replace(TWO_BEAMS, eos_token_id=[8, 9])
    biased = replace(TWO_BEAMS, sequence_bias={(1, 2): 0.5})
    decaying = replace(TWO_BEAMS, exponential_decay_length_penalty=(1, 1.5))

    def differ(settings: Settings, before: str, now: str) -> set[str]:
        sides = [search._bearing(Rules.of(release), settings) for release in (before, now)]
        return {rule.name for rule in fields(Rules) if getattr(sides[0], rule.name) != getattr(sides[1], rule.name)}

    assert differ(TWO_BEAMS, "4.54.0", "5.23.0") == set()
    assert differ(TWO_BEAMS, "4.30.2", "5.23.0") == {"length_penalty_counts_prompt", "ended_beams_first"}
    assert "first_eos_stands_for_all" in differ(several, "4.30.2", "5.23.0")
    assert differ(biased, "4.54.0", "5.23.0") == {"sequences_need_their_length"}
    assert "lacking" in differ(biased, "4.30.2", "5.23.0")
    assert differ(decaying, "4.54.0", "5.23.0") == {"decay_frees_the_banned"}


# -- scores ------------------------------------------------------------------------------------------------------------


def test_what_was_not_heard_is_asked_of_the_model_once() -> None:
    asked: list[Any] = []

    def forward(rows: Any) -> Any:
        asked.append(rows)
        return SimpleNamespace(logits=np.stack([[scores(1, 2)] for _ in rows]) + 3.0)

    heard = {(5,): scores(3)}
    table = search._Scores(heard, SimpleNamespace(forward=forward), True)  # type: ignore[arg-type]

    for _ in range(2):
        found = table(np.asarray([[5], [6]]), np.ones((2, 1), np.int64))

    assert asked == [[(6,)]]
    assert np.argmax(found, axis=1).tolist() == [3, 1]
    assert np.exp(found[1]).sum() == pytest.approx(1)  # beams add log-probabilities up


def test_a_continuation_that_was_not_heard_is_an_objection() -> None:
    said = case({PROMPT: scores(1, 2)}, TWO_BEAMS).objection(returned(((1, 3), -0.5)), Rules())

    assert "and the library did not" in said
    assert "it follows the beam [1]" in said or "it follows the beam [2]" in said


@pytest.mark.parametrize(("floor", "objects"), [(1e-6, True), (2e-4, False)])
def test_a_choice_within_twice_the_noise_floor_is_none_against_the_rules(floor: float, objects: bool) -> None:
    record = generation((Step(2, "b", -0.5, -0.5, 0.0, 1, "a"),))

    said = case({PROMPT: scores(1, 2, by=3e-4)}, GREEDY, floor=floor).objection(record, Rules())

    assert (said is not None) is objects


def test_what_the_scores_say_is_no_objection_and_anything_else_is() -> None:
    heard = {PROMPT: scores(1, 2), (*PROMPT, 1): scores(3, 4), (*PROMPT, 2): scores(4, 3)}
    known = case(heard, TWO_BEAMS)
    settings = replace(TWO_BEAMS, num_return_sequences=1)
    outcome = beam_search(search._Scores(dict(heard), None, True), np.asarray([PROMPT]), None, settings, Rules())
    score = float(outcome.scores[0])

    assert known.objection(returned(((1, 3), score)), Rules()) is None
    assert "beam 1 has 3 at token 2" in known.objection(returned(((1, 4), score)), Rules())
    assert "beam 1 has the end at token 3" in known.objection(returned(((1, 3, 3), score)), Rules())
    assert "beam 1 has a score of" in known.objection(returned(((1, 3), score - 0.1)), Rules())


def test_where_there_are_not_as_many_beams_anything_may_stand_in() -> None:
    outcome = SimpleNamespace(ids=np.asarray([[5, 6, 7, 1], [5, 6, 7, 2]]), scores=np.asarray([-0.5, -np.inf]))

    assert search._unlike(returned(((1,), -0.5), ((8,), -1e9)), outcome, 1e-5) is None  # type: ignore[arg-type]
    assert search._unlike(returned(((3,), -0.5), ((8,), -1e9)), outcome, 1e-5) is not None  # type: ignore[arg-type]


def test_a_model_that_cannot_be_listened_to_leaves_the_search_open(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    recorded = stored(generate(model, **BEAMS))
    topk = torch.topk

    def worse(values: Any, k: Any, *arguments: Any, **keywords: Any) -> Any:
        found = topk(values, k, *arguments, **keywords)
        return found if values.shape[-1] < 300 else (found.values.flip(-1), found.indices.flip(-1))

    @contextmanager
    def deaf() -> Iterator[dict[Any, Any]]:
        yield {}

    monkeypatch.setattr(torch, "topk", worse)
    observed = generate(model, **BEAMS)
    monkeypatch.setattr("pytest_hfmodels.explain.budget.captured_scores", deaf)

    found = ask(recorded, observed)

    assert found.cause is None
    assert "cannot be listened to" in found.sentence


@pytest.mark.parametrize("several", [False, True], ids=["greedy", "beams"])
def test_processed_scores_are_those_of_logits_or_of_a_beam_s_log_probabilities(several: bool) -> None:
    settings = replace(GREEDY, repetition_penalty=2.0)
    logits = np.linspace(1.0, 4.0, 20)
    table = np.log(np.exp(logits) / np.exp(logits).sum()) if several else logits
    table = np.where(np.isin(np.arange(20), PROMPT), np.where(table > 0, table / 2, table * 2), table)
    processed = table - np.log(np.exp(table).sum())
    step = Step(7, "g", 0.0, float(processed[7]), 0.0, 8, "h")
    record = beams(steps=(step,)) if several else generation((step,))
    teacher: Any = SimpleNamespace(logits=logits[None])

    assert list(search._processing(record, teacher, settings, Rules())) == [pytest.approx(0, abs=1e-9)]


# -- whose output it is ------------------------------------------------------------------------------------------------


@dataclass
class Scripted:
    """A case in which it is known who objects: by side, by whose rules, and whether close decisions may fall."""

    objections: dict[tuple[str, str, bool], str]
    engine: str = "torch"
    release: str = "4.30.2"
    floor: float = 2e-5
    settings: Settings = TWO_BEAMS
    alike: bool = False
    asked: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        then = replace(provenance(), versions={"transformers": self.release})
        made: Any = self.engine
        self.recorded = beams(provenance=then)
        steps = STEPS if self.alike else STEPS[:2]
        self.observed = beams(provenance=replace(provenance(), engine=made), steps=steps)

    def objection(self, record: GenerationRecord, rules: Rules, *, close: bool = True) -> str | None:
        side = "recorded" if record is self.recorded else "observed"
        whose = "now" if rules == search._bearing(Rules.of("4.57.6"), self.settings) else "then"
        return self.objections.get((side, whose, close))


def judged(*objections: tuple[str, str, bool], **about: Any) -> search.Found:
    scripted: Any = Scripted(dict.fromkeys(objections, "no"), **about)
    return search._judged(scripted)


def test_another_rule_is_named_before_a_decision_is_called_close() -> None:
    found = judged(("recorded", "now", False))

    assert (found.cause, found.tie) == ("search", False)
    assert "ended_beams_first" in found.rules
    assert judged(("recorded", "now", False), ("recorded", "then", False)).tie


def test_another_rule_is_named_where_it_gives_the_recorded_output_by_close_decisions() -> None:
    found = judged(("recorded", "now", False), ("recorded", "now", True), ("recorded", "then", False))

    assert (found.cause, found.tie) == ("search", False)
    assert "goes by another rule" in found.sentence


def test_the_same_search_can_give_either() -> None:
    found = judged(release="4.57.6")

    assert (found.cause, found.tie) == (None, True)


def test_where_the_same_tokens_were_chosen_no_decision_was_close() -> None:
    found = judged(release="4.57.6", alike=True)

    assert (found.cause, found.tie) == (None, False)
    assert found.sentence == "the search gives these tokens on both sides: what moved is no decision of its"


def test_what_no_rules_give_is_said_to_be_none_of_it() -> None:
    every = [("recorded", whose, close) for whose in ("now", "then") for close in (True, False)]

    found = judged(*every)

    assert (found.cause, found.tie, found.rules) == (None, False, ())
    assert "the recorded output is none of it" in found.sentence


@pytest.mark.parametrize(("objects", "word"), [(False, "gives the recorded output"), (True, "gives another")])
def test_a_library_that_does_not_go_by_its_rules(objects: bool, word: str) -> None:
    found = judged(("observed", "now", True), *([("recorded", "now", True)] if objects else []))

    assert found.cause == "search"
    assert found.sentence.endswith(f"on the same scores, {word}")


def test_tensorflow_s_search_is_not_torch_s() -> None:
    found = judged(("observed", "now", True), engine="tensorflow")

    assert (found.cause, found.sentence) == ("search", "tensorflow's search is not torch's, which recorded the output")


# -- the cache ---------------------------------------------------------------------------------------------------------


def test_scores_while_generating_are_held_against_those_in_one_pass() -> None:
    record = generation((Step(1, "a", -0.5, -0.5, 0.0, 2, "b"),))
    logits = np.linspace(-30.0, 0.0, 40)
    teacher: Any = SimpleNamespace(logits=logits[None])

    def apart(changed: int, value: float) -> float:
        own = logits.copy()
        own[changed] = value
        return search._while_generating({PROMPT: own}, record, teacher)

    assert search._while_generating({PROMPT: logits}, record, teacher) == 0
    assert apart(39, 1.0) > 0.1
    assert apart(39, np.nan) == np.inf
    assert apart(0, -29.0) < 1e-9  # so unlikely that its sum's rounding says nothing
    assert search._while_generating({}, record, teacher) == 0
