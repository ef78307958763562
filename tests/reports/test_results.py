from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_hfmodels.kinds import Prompt, base, comparison, explanation, provenance
from pytest_hfmodels.results import model as module
from pytest_hfmodels.results.describe import STEPS, TEXT, place
from pytest_hfmodels.results.model import ReportError, Results, decode, dump, encode
from pytest_hfmodels.results.pending import Pending

from ..example_records import STEPS as THREE
from ..example_records import beams, classification, generation, live, moved, swapped
from . import example_results as examples

DOCUMENTED = Path(__file__).parents[2] / "docs" / "reports.md"
TABLES = {
    "The file": module.Results,
    "`run`": module.Run,
    "`source`": module.Source,
    "A test": module.TestResult,
    "A comparison": module.Compared,
    "A difference": comparison.Difference,
    "A detail": comparison.Detail,
    "A passage": comparison.Passage,
    "An explanation": explanation.Explanation,
    "A piece of evidence": explanation.Evidence,
    "An ablation": explanation.Ablation,
    "A side": module.Side,
    "A text": module.Excerpt,
    "`provenance`": provenance.Provenance,
    "`checkpoint`": provenance.CheckpointSeen,
    "`course`": base.Course,
    "A decision": base.Part,
    "A pending change": Pending,
}


def test_what_is_written_is_what_is_read() -> None:
    results = examples.one_of_each()

    assert decode(dump(results), Results) == finite(results)
    assert decode(encode(results.tests[0]), module.TestResult) == results.tests[0]
    assert json.loads(dump(results))["format"] == module.FORMAT
    assert len(dump(results).splitlines()) == 4 + len(results.tests)


def finite(results: Results) -> Results:
    """What a JSON report says of them: it has no figure that is not finite."""
    return decode(re.sub("NaN|-?Infinity", "null", encode(results)), Results)


@pytest.mark.parametrize("title", TABLES)
def test_every_field_is_documented(title: str) -> None:
    section = DOCUMENTED.read_text(encoding="utf-8").partition(f"### {title}\n")[2].partition("\n### ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == [field.name for field in fields(TABLES[title])]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["run"].pop("seconds"), "`seconds` - at `$.run`"),
        (lambda data: data["tests"][0].update(verdict="fine"), "'fine' - at `$.tests[0].verdict`"),
        (lambda data: data["tests"][0].update(line="12"), "got `str` - at `$.tests[0].line`"),
        (lambda data: data["run"].update(exit_status=True), "got `bool` - at `$.run.exit_status`"),
        (lambda data: data["run"].update(versions=[]), "got `array` - at `$.run.versions`"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, said: str) -> None:
    data = json.loads(dump(examples.one_of_each()))
    change(data)

    with pytest.raises(ReportError, match=re.escape(said)):
        decode(json.dumps(data), Results)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        decode(text, Results)


def test_a_changed_token_is_told_with_its_neighbours_and_figures() -> None:
    found = examples.changed()

    assert (found.verdict, found.headline, found.cause) == ("changed", "generated token 2 differs", None)
    assert found.snapshot == "snapshots/test_it/test_a.toml"
    assert found.course is not None
    assert found.course.divergence == 1
    assert (found.course.recorded[1].text, found.course.observed[1].text) == (" and", " but")
    assert found.course.drift == (3e-6, 1e-3)
    assert [part.margin for part in found.course.recorded] == [2.0, 1.5, 0.5]
    assert found.changed == 1
    assert found.recorded is not None
    assert [side.provenance.versions["transformers"] for side in (found.recorded, found.observed)] == [
        "4.57.6",
        "5.0.0",
    ]


def test_a_cause_is_told_with_what_it_rests_on() -> None:
    found = examples.changed(explanation=examples.WHY)

    assert found.cause == "forward"
    assert found.headline == "generated token 2 differs"
    results = examples.results(examples.result(found))
    (read,) = decode(dump(results), Results).tests[0].comparisons
    assert read.explanation is not None
    assert (read.explanation.block, read.explanation.sentence) == ("block 2", examples.WHY.sentence)
    assert read.explanation.evidence[0].figures == {"drift": 1e-3, "noise": None}
    assert read.explanation.suggests == examples.WHY.suggests


def test_of_a_beam_search_the_beam_that_differs_is_told() -> None:
    found = examples.one_of_each().tests[2].comparisons[1]

    assert found.shows == "returned beam 2"
    assert found.recorded is not None
    assert (found.recorded.text.text, found.observed.text.text) == ("My name is Ada and you", "My name is Ada and we")


def test_a_classifier_is_told_by_its_inputs() -> None:
    found = examples.told(classification(), classification())

    assert found.shows == "labels"
    assert "calm: Good dog." in found.observed.text.text
    assert found.course is not None
    assert (found.course.unit, found.course.drift) == ("input", (0.0, 0.0))


def test_where_prompts_differ_no_number_is_compared() -> None:
    found = examples.told(generation(), generation(prompt=Prompt("Her name is", (5, 6, 9))))

    assert found.drift is None
    assert found.course is not None
    assert found.course.drift == ()


def test_a_megabyte_of_text_is_cut_to_what_surrounds_the_difference() -> None:
    long = "All work and no play. " * 50_000

    found = examples.told(generation(text=f"{long}Jack{long}"), generation(text=f"{long}Jill{long}"))

    assert found.recorded is not None
    recorded, observed = found.recorded.text, found.observed.text
    assert len(recorded.text) == TEXT
    assert recorded.start == observed.start
    assert "Jack" in recorded.text
    assert "Jill" in observed.text
    assert recorded.start + len(recorded.text) + recorded.end == recorded.length == 2 * len(long) + 4


def test_many_steps_are_cut_to_those_around_the_divergence() -> None:
    steps = THREE * 1000
    now = (*steps[:2000], examples.BUT, *steps[2001:])

    found = examples.told(generation(steps), generation(now, live=live(now))).course

    assert found is not None
    assert len(found.recorded) == len(found.observed) == STEPS
    assert found.start < (found.divergence or 0) == 2000 < found.start + STEPS


def test_numbers_that_are_not_finite_and_text_that_is_no_text_are_told_all_the_same() -> None:
    odd = swapped(1, replace(THREE[1], margin=float("inf"), processed=float("-inf"), text="\udc80"))

    found = examples.told(generation(odd), generation(odd))

    assert found.course is not None
    assert found.course.drift == (0.0, 0.0, 0.0)
    written = dump(examples.results(examples.result(found)))
    assert [part["margin"] for part in json.loads(written)["tests"][0]["comparisons"][0]["course"]["recorded"]] == [
        2.0,
        None,
        0.5,
    ]
    assert "\\udc80" in written


def test_drift_is_told_where_it_is_largest() -> None:
    found = examples.told(beams(), beams(steps=moved(2, by=0.25)))

    assert (found.verdict, found.drift) == ("drift", 0.25)
    assert found.course is not None
    assert found.course.drift == (0.0, 0.0, 0.25)


@pytest.mark.parametrize(
    ("what", "where"),
    [("log-probability of a likelier token", " of token 2"), ("row 1: margin", " of token 2"), ("loss", "")],
)
def test_the_place_of_a_number_has_its_unit(what: str, where: str) -> None:
    assert place(comparison.Difference("numbers", what, 1.0, 2.0, 1)) == where
