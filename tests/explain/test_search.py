"""What the reference makes of scores that a search chose from, piece by piece; test_causes has whole searches."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.kinds import Beam, Step
from pytest_hfmodels.kinds.generation import search
from pytest_hfmodels.reference import Rules, Settings, beam_search

from ..example_records import EFFECTIVE, STEPS, beams, generation, provenance
from .asking import BEAMS, after, ask, generate, stored
from .test_causes import second_best, worse_beams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.kinds import GenerationRecord

PROMPT = (5, 6, 7)
GREEDY = Settings(max_length=4, eos_token_id=[50], pad_token_id=-1)
TWO_BEAMS = Settings(max_length=5, num_beams=2, eos_token_id=[9], pad_token_id=-1)
UNSTATED: dict[str, Any] = {"encoder_repetition_penalty": 1.5}


def scores(*favoured: int, size: int = 10, by: float = 1.0) -> Any:
    """Return log-probabilities of one step, the favoured tokens first."""
    row = np.full(size, -20.0)
    for rank, token in enumerate(favoured):
        row[token] = -0.5 - rank * by
    return row


def sides(captured: dict[Any, Any], settings: Settings, *, floor: float = 1e-6) -> Any:
    record = generation()
    table = search._Scores(captured, None, record)
    return search._Sides(record, record, settings, table, floor)


def returned(*sequences: tuple[tuple[int, ...], float]) -> GenerationRecord:
    """Return a record of a beam search, given the ids and the score of each beam."""
    return beams(beams=tuple(Beam(ids, score, "") for ids, score in sequences))


# -- settings and rules ------------------------------------------------------------------------------------------------


def test_settings_are_read_as_the_reference_takes_them() -> None:
    biased = {"sequence_bias": [[[1, 2], 0.5]], "exponential_decay_length_penalty": [3, 1.5]}
    harmless = {"use_cache": True, "top_k": 50, "guidance_scale": 0}

    found, unstated = search.reference_settings({**EFFECTIVE, **biased, **harmless, **UNSTATED})

    assert (found.sequence_bias, found.exponential_decay_length_penalty) == ({(1, 2): 0.5}, (3, 1.5))
    assert unstated == ["encoder_repetition_penalty"]


def test_a_setting_that_the_reference_does_not_state_leaves_the_search_open(model: HFModel) -> None:
    found = after(second_best, model, **UNSTATED)

    assert found.cause is None
    assert "the reference does not cover encoder_repetition_penalty" in found.sentence


def test_a_search_that_is_left_open_beside_other_weights_is_theirs(
    model: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = stored(generate(model, **UNSTATED))
    steps = tuple(replace(step, log_probability=step.log_probability + 1e-7) for step in record.steps)
    recorded = replace(record, steps=steps, checkpoint=replace(record.checkpoint, weights="sha256:other"))
    second_best(model, monkeypatch)

    found = ask(recorded, generate(model, **UNSTATED))

    assert (found.cause, found.suggests) == ("checkpoint:weights", ())


@pytest.mark.parametrize(
    ("settings", "cause", "said"),
    [
        (
            {"num_beams": 1},
            "search",
            "the logits processors work differently than at recording; the reference, with the rules of",
        ),
        (
            {"num_beams": 2},
            "search",
            "the library does not follow the rules of",
        ),  # the scores of the beams say it already
        ({"encoder_repetition_penalty": 1.01}, None, "the reference does not cover encoder_repetition_penalty"),
    ],
    ids=["greedy", "beams", "unstated"],
)
def test_processors_that_do_otherwise_while_the_same_tokens_come(
    model: HFModel, settings: dict[str, Any], cause: str | None, said: str
) -> None:
    def change(_: HFModel, patch: pytest.MonkeyPatch) -> None:
        kind = pytest.importorskip("transformers.generation.logits_process").RepetitionPenaltyLogitsProcessor
        plain = kind.__call__

        def otherwise(self: Any, ids: Any, values: Any) -> Any:
            processed = plain(self, ids, values.clone())
            return processed - 1e-3 * (processed != values)

        patch.setattr(kind, "__call__", otherwise)

    found = after(change, model, tolerance=1e-6, repetition_penalty=1.3, **settings)

    assert (found.verdict, found.cause) == ("drift", cause)
    assert said in found.sentence


def test_every_rule_that_can_matter_has_words() -> None:
    settings = Settings(**vars(TWO_BEAMS) | {"eos_token_id": [8, 9], "sequence_bias": {(1, 2): 0.5}})
    settings = replace(settings, remove_invalid_values=True, exponential_decay_length_penalty=(1, 1.5))
    never = Rules(**{one.name: "neither" for one in fields(Rules)})  # type: ignore[arg-type]

    assert {
        one.name for one in fields(Rules) if getattr(search._bearing(never, settings), one.name) == "neither"
    } == set(search.RULES)


@pytest.mark.parametrize(
    ("more", "before", "differ"),
    [
        ({}, "4.54.0", set()),
        ({}, "4.30.2", {"length_penalty_counts_prompt", "ended_beams_first"}),
        ({"sequence_bias": {(1, 2): 0.5}}, "4.54.0", {"sequences_need_their_length"}),
        ({"exponential_decay_length_penalty": (1, 1.5)}, "4.54.0", {"decay_frees_the_banned"}),
        ({"eos_token_id": [8, 9]}, "4.49.0", {"ended_beams_first", "first_eos_stands_for_all"}),
    ],
)
def test_rules_that_cannot_matter_for_the_settings_do_not_differ(more: Any, before: str, differ: set[str]) -> None:
    settings = replace(TWO_BEAMS, **more)
    then, now = (search._bearing(Rules.of(release), settings) for release in (before, "5.23.0"))

    assert {one.name for one in fields(Rules) if getattr(then, one.name) != getattr(now, one.name)} == differ


# -- scores ------------------------------------------------------------------------------------------------------------


def test_scores_that_were_not_captured_are_asked_of_the_model_once() -> None:
    asked: list[Any] = []

    def forward(ids: Any, *_: Any) -> Any:
        asked.append(ids.tolist())
        return SimpleNamespace(logits=np.stack([[scores(1, 2)] for _ in ids]) + 3.0)

    origin = SimpleNamespace(loaded=SimpleNamespace(has_encoder=False))
    passes: Any = SimpleNamespace(forward=forward, origin=origin)
    before = beams().prompt.ids
    table = search._Scores({(*before, 5): scores(3)}, passes, beams())
    for _ in range(2):
        found = table(np.asarray([[*before, 5], [*before, 6]]), np.ones((2, len(before) + 1), np.int64))

    assert asked == [[[*before, 6]]]
    assert np.argmax(found, axis=1).tolist() == [3, 1]
    assert np.exp(found[1]).sum() == pytest.approx(1)  # beams add log-probabilities up


def test_a_continuation_that_was_not_captured_is_an_objection() -> None:
    said = sides({PROMPT: scores(1, 2)}, TWO_BEAMS).objection(returned(((1, 3), -0.5)), Rules())

    assert "and the library did not" in said
    assert "it follows the beam [1]" in said or "it follows the beam [2]" in said


@pytest.mark.parametrize(("floor", "objects"), [(1e-6, True), (2e-4, False)])
def test_a_choice_within_twice_the_noise_floor_is_none_against_the_rules(floor: float, objects: bool) -> None:
    record = generation((Step(2, "b", -0.5, -0.5, 0.0, 1, "a"),))

    said = sides({PROMPT: scores(1, 2, by=3e-4)}, GREEDY, floor=floor).objection(record, Rules())

    assert (said is not None) is objects


@pytest.mark.parametrize(
    ("ids", "by", "said"),
    [
        ((1, 3), 0.0, None),
        ((1, 4), 0.0, "beam 1 has 3 at token 2"),
        ((1, 3, 3), 0.0, "beam 1 has the end at token 3"),
        ((1, 3), -0.1, "beam 1 has a score of"),
    ],
)
def test_any_other_output_than_the_reference_s_is_an_objection(ids: Any, by: float, said: str | None) -> None:
    captured = {PROMPT: scores(1, 2), (*PROMPT, 1): scores(3, 4), (*PROMPT, 2): scores(4, 3)}
    settings = replace(TWO_BEAMS, num_return_sequences=1)
    table = search._Scores(dict(captured), None, generation())
    outcome = beam_search(table, np.asarray([PROMPT]), None, settings, Rules())

    found = sides(captured, TWO_BEAMS).objection(returned((ids, float(outcome.scores[0]) + by)), Rules())

    assert found is None if said is None else said in found


def test_if_there_are_not_as_many_beams_anything_may_stand_in() -> None:
    outcome: Any = SimpleNamespace(ids=np.asarray([[5, 6, 7, 1], [5, 6, 7, 2]]), scores=np.asarray([-0.5, -np.inf]))

    assert search._unlike(returned(((1,), -0.5), ((8,), -1e9)), outcome, 1e-5) is None
    assert search._unlike(returned(((3,), -0.5), ((8,), -1e9)), outcome, 1e-5) is not None


def test_a_model_that_cannot_be_listened_to_leaves_the_search_open(model: HFModel) -> None:
    @contextmanager
    def deaf() -> Iterator[dict[Any, Any]]:
        yield {}

    def change(model: HFModel, patch: pytest.MonkeyPatch) -> None:
        worse_beams(model, patch)
        patch.setattr("pytest_hfmodels.explain.case.captured_scores", deaf)

    found = after(change, model, **BEAMS)

    assert found.cause is None
    assert "cannot be captured" in found.sentence


@pytest.mark.parametrize("several", [False, True], ids=["greedy", "beams"])
def test_processed_scores_are_those_of_logits_or_of_a_beam_s_log_probabilities(several: bool) -> None:
    settings = replace(GREEDY, repetition_penalty=2.0)
    logits = np.linspace(1.0, 4.0, 20)
    table = np.log(np.exp(logits) / np.exp(logits).sum()) if several else logits
    table = np.where(np.isin(np.arange(20), PROMPT), np.where(table > 0, table / 2, table * 2), table)
    processed = table - np.log(np.exp(table).sum())
    step = Step(7, "g", 0.0, float(processed[7]), 0.0, 8, "h")
    teacher: Any = SimpleNamespace(logits=logits[None])

    found = search._processed_diffs(
        beams(steps=(step,)) if several else generation((step,)), teacher, settings, Rules()
    )

    assert found == [pytest.approx(0, abs=1e-9)]


@pytest.mark.parametrize(
    ("changed", "value", "moved"),
    [(39, 0.0, 0.0), (39, 1.0, 1.0), (39, np.nan, np.inf), (0, -29.0, 0.0)],  # the last is too unlikely to count
)
def test_scores_while_generating_are_compared_with_those_of_one_pass(changed: int, value: float, moved: float) -> None:
    record = generation((Step(1, "a", -0.5, -0.5, 0.0, 2, "b"),))
    logits = np.linspace(-30.0, 0.0, 40)
    teacher: Any = SimpleNamespace(logits=logits[None])
    own = logits.copy()
    own[changed] = value

    assert search._while_generating({PROMPT: own}, record, teacher) == pytest.approx(moved, abs=0.5)
    assert search._while_generating({}, record, teacher) == 0


# -- whose output it is ------------------------------------------------------------------------------------------------


@dataclass
class Scripted:
    """Both sides, with what is known to object: the side, whose rules, and whether close decisions may fall."""

    objections: tuple[tuple[str, str, bool], ...]
    engine: Any = "torch"
    release: str = "4.30.2"
    alike: bool = False
    floor: float = 2e-5
    settings: Settings = TWO_BEAMS

    def __post_init__(self) -> None:
        self.recorded = beams(provenance=replace(provenance(), versions={"transformers": self.release}))
        steps = STEPS if self.alike else STEPS[:2]
        self.observed = beams(provenance=replace(provenance(), engine=self.engine), steps=steps)

    def objection(self, record: GenerationRecord, rules: Rules, *, close: bool = True) -> str | None:
        side = "recorded" if record is self.recorded else "observed"
        whose = "now" if rules == search._bearing(Rules.of("4.57.6"), self.settings) else "then"
        return "no" if (side, whose, close) in self.objections else None


NOW, NOW_CLOSE = ("recorded", "now", False), ("recorded", "now", True)
THEN, THEN_CLOSE = ("recorded", "then", False), ("recorded", "then", True)
TODAY = ("observed", "now", True)


@pytest.mark.parametrize(
    ("objections", "about", "cause", "tie", "said"),
    [
        ((NOW,), {}, "search", False, "follows a different rule: in 4.30.2"),  # before a decision is called close
        ((NOW, THEN), {}, None, True, "a decision is too close to call"),
        ((NOW, NOW_CLOSE, THEN), {}, "search", False, "follows a different rule"),
        ((), {"release": "4.57.6"}, None, True, "the same search can give either"),
        ((), {"release": "4.57.6", "alike": True}, None, False, "the search picks the same tokens"),
        (
            (NOW, NOW_CLOSE, THEN, THEN_CLOSE),
            {},
            None,
            False,
            "the recording release do not give the recorded",
        ),
        ((TODAY,), {}, "search", False, "on the same scores, gives the recorded output"),
        ((TODAY, NOW_CLOSE), {}, "search", False, "on the same scores, gives a different one"),
        ((TODAY,), {"engine": "tensorflow"}, "search", False, "tensorflow's search is not torch's"),
    ],
)
def test_whose_output_the_reference_gives(
    objections: Any, about: dict[str, Any], cause: str | None, tie: bool, said: str
) -> None:
    scripted: Any = Scripted(objections, **about)

    found = search._judged(scripted)

    assert (found.cause, found.tie) == (cause, tie)
    assert said in found.sentence
    assert ("ended_beams_first" in found.rules) is ("different rule" in said)
