from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.kinds import Beam, ClassifiedInput, Loss, Prompt, Step
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.snapshots import NOISE_FLOOR, Comparison, Tolerance, Verdict, compare

from ..example_records import EFFECTIVE, STEPS, beams, classification, generation, live, moved, provenance, swapped

if TYPE_CHECKING:
    from pytest_hfmodels.kinds import Record

TOLERANCE = Tolerance(0.125)
OTHER = Step(14, " but", -0.5, -0.5, 1.5, 13, " and")


def stages(comparison: Comparison) -> list[tuple[str, int | None]]:
    return [(difference.stage, difference.position) for difference in comparison.differences]


@pytest.mark.parametrize("record", [generation(), beams(), classification(), generation(())], ids=repr)
def test_a_record_is_the_same_as_itself(record: Record) -> None:
    comparison = compare(record, record, TOLERANCE)

    assert comparison == Comparison(Verdict.SAME, (), 0.0, TOLERANCE)


def test_provenance_evidence_and_digests_fail_nothing() -> None:
    recorded = generation()
    observed = replace(
        recorded,
        provenance=provenance("tensorflow"),
        checkpoint=replace(recorded.checkpoint, name="./copy", weights="sha256:w2", tokenizer="sha256:t2"),
        steps=tuple(replace(step, runner_up=3, runner_up_text="?") for step in STEPS),
        blocks=(),
        beam_cutoff_margin=(1.0,),
    )

    comparison = compare(recorded, observed, TOLERANCE)

    assert comparison.verdict is Verdict.SAME
    assert comparison.notes == (
        "the checkpoint's weights changed",
        "the checkpoint's tokenizer changed",
    )


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"preprocessor": "sha256:p2"}, "the checkpoint's preprocessor changed"),
        ({"chat_template": "sha256:c2"}, "the checkpoint's chat template changed"),
        (
            {"chat_template": "sha256:c2", "tokenizer": "sha256:t2"},
            "the checkpoint's chat template changed; other tokenizer files may have changed, too",
        ),
    ],
)
def test_a_note_names_the_changed_part_of_the_checkpoint(changed: dict[str, str], note: str) -> None:
    seen = replace(generation().checkpoint, preprocessor="sha256:p", chat_template="sha256:c")
    recorded = replace(generation(), checkpoint=seen)

    assert compare(recorded, replace(recorded, checkpoint=replace(seen, **changed)), TOLERANCE).notes == (note,)


@pytest.mark.parametrize(
    ("by", "verdict"), [(0.125, Verdict.SAME), (-0.125, Verdict.SAME), (0.1251, Verdict.DRIFT), (-1.0, Verdict.DRIFT)]
)
def test_numbers_may_move_up_to_the_tolerance(by: float, verdict: Verdict) -> None:
    comparison = compare(generation(), generation(moved(1, by=by)), TOLERANCE)

    assert comparison.verdict is verdict
    assert comparison.drift == pytest.approx(abs(by))


def test_drift_names_the_first_number_of_each_kind() -> None:
    steps = moved(0, by=0.5, steps=moved(1, by=2.0))

    comparison = compare(generation(), generation((steps[0], steps[1], replace(steps[2], margin=9.0))), TOLERANCE)

    assert comparison.verdict is Verdict.DRIFT
    assert [(found.what, found.position) for found in comparison.differences] == [
        ("log-probability", 0),
        ("processed log-probability", 0),
        ("margin", 2),
    ]
    assert comparison.drift == 8.5


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_margin_that_is_no_number_is_drift_and_agrees_with_itself_if_infinite(broken: float) -> None:
    record = generation(swapped(1, replace(STEPS[1], margin=broken)))

    comparison = compare(generation(), record, TOLERANCE)

    assert comparison.verdict is Verdict.DRIFT
    assert math.isnan(comparison.drift) if math.isnan(broken) else comparison.drift == math.inf
    assert compare(record, record, TOLERANCE).verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"prompt": Prompt("My name is", (5, 6, 8))}, [("prompt", 2)]),
        ({"prompt": Prompt("My name is", (5, 6))}, [("prompt", 2)]),
        ({"effective": {**EFFECTIVE, "max_length": 7}}, [("settings", None)]),
        ({"effective": {**EFFECTIVE, "top_k": 50}}, [("settings", None)]),
        ({"steps": swapped(1, OTHER)}, [("ids", 1)]),
        ({"steps": STEPS[:2]}, [("ids", 2)]),
        ({"text": "My name is Ada and  I"}, [("text", None)]),
        (
            {"effective": {**EFFECTIVE, "max_length": 7}, "steps": swapped(1, OTHER), "text": "other"},
            [("settings", None), ("ids", 1), ("text", None)],
        ),
        ({"steps": moved(0, by=1.0, steps=swapped(1, OTHER))}, [("ids", 1), ("numbers", 0), ("numbers", 0)]),
    ],
    ids=["prompt", "shorter-prompt", "setting", "new-setting", "token", "end", "text", "several", "drift-before"],
)
def test_what_changed_is_named_in_causal_order(changes: dict[str, Any], found: list[tuple[str, int | None]]) -> None:
    observed = replace(generation(), **changes)

    comparison = compare(generation(), observed, TOLERANCE)

    assert comparison.verdict is Verdict.CHANGED
    assert stages(comparison) == found


def test_numbers_after_a_divergence_are_not_compared() -> None:
    observed = generation((STEPS[0], OTHER, replace(STEPS[2], log_probability=-9.0)), text=generation().text)

    assert stages(compare(generation(), observed, TOLERANCE)) == [("ids", 1)]


def test_two_kinds_of_record_are_never_compared_further() -> None:
    comparison = compare(generation(), classification(), TOLERANCE)

    assert comparison.verdict is Verdict.CHANGED
    assert [(found.recorded, found.observed) for found in comparison.differences] == [("generation", "classification")]


def test_returned_beams_are_compared_by_ids_and_their_scores_within_tolerance() -> None:
    first, second = beams().beams

    def against(*observed: Beam) -> tuple[Verdict, list[tuple[str, int | None]]]:
        comparison = compare(beams(), beams(beams=observed), TOLERANCE)
        return comparison.verdict, stages(comparison)

    assert against(first, replace(second, score=-0.7)) == (Verdict.SAME, [])
    assert against(first, replace(second, score=-1.7)) == (Verdict.DRIFT, [("numbers", 1)])
    assert against(first, Beam((11, 13, 17), -0.7, "other")) == (Verdict.CHANGED, [("beams", 1)])
    assert against(first) == (Verdict.CHANGED, [("beams", None)])
    assert against(Beam((11, 13, 16), 999.0, first.text), second) == (Verdict.CHANGED, [("beams", 0)])


def test_classifications_are_compared_by_stage() -> None:
    recorded = classification()
    dog, bad = recorded.inputs

    def against(*inputs: ClassifiedInput, **changes: Any) -> list[tuple[str, int | None]]:
        return stages(compare(recorded, replace(recorded, inputs=inputs, **changes), TOLERANCE))

    assert against(dog, bad) == []
    assert against(dog, replace(bad, logits=(-1.5, -0.5, 0.8))) == []
    assert against(dog, replace(bad, logits=(-1.5, -0.5, 1.75))) == [("numbers", 1)]
    assert against(dog, replace(bad, label="calm")) == [("labels", 1)]
    assert against(replace(dog, labels=("calm",)), bad) == [("labels", 0)]
    assert against(replace(dog, ids=(1, 3)), bad) == [("prompt", 1)]
    assert against(dog) == [("prompt", None)]
    assert against(dog, bad, loss=Loss(1.5, (0, 2))) == [("numbers", 0)]
    assert against(dog, bad, loss=Loss(0.875, (0, 1))) == [("settings", None)]
    assert against(dog, bad, loss=None) == [("settings", None)]
    assert against(dog, bad, effective={**recorded.effective, "num_labels": 2}) == [("settings", None)]
    wider = replace(recorded, inputs=tuple(replace(row, logits=(*row.logits, 0.0)) for row in recorded.inputs))
    assert compare(recorded, wider, TOLERANCE).verdict is Verdict.CHANGED


FLOOR = NOISE_FLOOR["same_engine"]
CLOSE = swapped(1, replace(STEPS[1], margin=2 * FLOOR))
FLIPPED = swapped(1, OTHER)
MOVED_BEFORE = live(FLIPPED, told=CLOSE)
MOVED_BEFORE.log_probabilities[0, STEPS[0].id] += 1.1 * FLOOR


@pytest.mark.parametrize(
    ("about", "near"),
    [
        pytest.param({}, True, id="two equal tokens"),
        pytest.param({"drift": 0.9 * FLOOR}, True, id="rounding"),
        pytest.param({"drift": 1.5 * FLOOR, "provenance": provenance("tensorflow")}, True, id="another engine's floor"),
        pytest.param({"recorded": swapped(1, replace(STEPS[1], margin=2.1 * FLOOR))}, False, id="a clear margin"),
        pytest.param({"drift": 1.1 * FLOOR}, False, id="numbers moved"),
        pytest.param({"drift": math.nan}, False, id="no number"),
        pytest.param({"live": MOVED_BEFORE}, False, id="numbers moved before it"),
        pytest.param({"live": None}, False, id="no live numbers"),
        pytest.param({"prompt": Prompt("My name was", (5, 6, 8))}, False, id="another prompt"),
        pytest.param({"effective": {**EFFECTIVE, "max_length": 9}}, False, id="another setting"),
        pytest.param({"steps": FLIPPED[:1]}, False, id="an end of sequence"),
        pytest.param({"both": {"beams": beams().beams}}, False, id="beams"),
    ],
)
def test_a_near_tie_is_greedy_with_equal_numbers_and_next_to_no_margin(about: dict[str, Any], near: bool) -> None:
    given = {"recorded": CLOSE, "drift": 0.0, "both": {}, **about}
    recorded = generation(given.pop("recorded"), **given.pop("both"))
    seen = live(FLIPPED, told=recorded.steps, drift=given.pop("drift"))
    observed = replace(recorded, steps=FLIPPED, text="My name is Ada but I", live=seen)

    verdict = compare(recorded, replace(observed, **given), TOLERANCE).verdict

    assert verdict is (Verdict.NEAR_TIE if near else Verdict.CHANGED)


@pytest.mark.parametrize(
    ("recorded", "observed", "index"),
    [([], [], None), ([1], [1], None), ([1, 2], [1, 3], 1), ([1, 2], [1], 1), ([1], [1, 2], 1), ([], [1], 0)],
)
def test_the_first_divergence(recorded: list[int], observed: list[int], index: int | None) -> None:
    assert first_divergence(recorded, observed) == index


@pytest.mark.parametrize(
    "record",
    [
        generation(swapped(1, replace(STEPS[1], log_probability=math.nan))),
        beams(beams=(replace(beams().beams[0], score=math.nan),)),
        classification(loss=Loss(math.nan, (0, 1))),
        classification(inputs=(replace(classification().inputs[0], logits=(math.nan, 0.0)),)),
    ],
    ids=["log-probability", "beam score", "loss", "logit"],
)
def test_nan_agrees_with_nothing_where_no_suppressed_token_can_produce_it(record: Record) -> None:
    assert compare(record, record, TOLERANCE).verdict is Verdict.DRIFT


def test_texts_of_equal_ids_are_compared() -> None:
    first, second = beams().beams
    dog, bad = classification().inputs

    def against(recorded: Record, observed: Record) -> list[tuple[str, int | None]]:
        return stages(compare(recorded, observed, TOLERANCE))

    assert against(generation(), generation(prompt=Prompt("My names", (5, 6, 7)))) == [("prompt", None)]
    respelt = generation(swapped(1, replace(STEPS[1], text=" und")))
    assert against(generation(), respelt) == [("text", 1), ("text", None)]
    decoded = replace(generation(), prompt=Prompt("My names", (5, 6, 7)), text="My names Ada and I")
    assert against(generation(), decoded) == [("text", None), ("text", None)]
    assert against(beams(), beams(beams=(first, replace(second, text="other")))) == [("text", 1)]
    assert against(classification(), classification(inputs=(dog, replace(bad, text="Bad cat.")))) == [("prompt", 1)]


def test_a_file_does_not_widen_the_floor_of_a_tie() -> None:
    wide = swapped(1, replace(STEPS[1], margin=NOISE_FLOOR["same_engine"] * 100))
    recorded = generation(wide, provenance=provenance(dtype="bfloat16"))
    steps = swapped(1, OTHER)
    observed = generation(steps, text="My name is Ada but I", live=live(steps, told=wide))

    assert compare(recorded, observed, TOLERANCE).verdict is Verdict.CHANGED


@pytest.mark.parametrize(("before", "now"), [(False, 0), (True, 1), (1, True)])
def test_a_switch_is_no_number(before: object, now: object) -> None:
    recorded, observed = (generation(effective={**EFFECTIVE, "early_stopping": value}) for value in (before, now))

    assert stages(compare(recorded, observed, TOLERANCE)) == [("settings", None)]
