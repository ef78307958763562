from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_hfmodels.kinds import Prompt
from pytest_hfmodels.reports import results as module
from pytest_hfmodels.reports.results import ReportError, Results, dump, load
from pytest_hfmodels.reports.summary import STEPS, TEXT

from ..example_records import STEPS as THREE
from ..example_records import beams, classification, generation, live, moved, swapped
from . import example_results as examples

DOCUMENTED = Path(__file__).parents[2] / "docs" / "reports.md"
TABLES = {
    "The file": module.Results,
    "`run`": module.Run,
    "A test": module.TestResult,
    "A comparison": module.Compared,
    "A piece of evidence": module.Evidence,
    "An exchange": module.Ablation,
    "A text": module.Excerpt,
    "A token": module.TokenPair,
    "`steps`": module.Steps,
    "A difference": module.Difference,
    "What made a side": module.ProvenanceView,
}


def test_what_is_written_is_what_is_read() -> None:
    results = examples.one_of_each()

    assert load(dump(results)) == results
    assert json.loads(dump(results))["format"] == 3
    assert len(dump(results).splitlines()) == 4 + len(results.tests)


@pytest.mark.parametrize("title", TABLES)
def test_every_field_is_documented(title: str) -> None:
    section = DOCUMENTED.read_text(encoding="utf-8").partition(f"### {title}\n")[2].partition("\n### ")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == [field.name for field in fields(TABLES[title])]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["run"].pop("seconds"), "report.run: missing or unknown: seconds"),
        (lambda data: data["tests"][0].update(colour="red"), "report.tests[0]: missing or unknown: colour"),
        (lambda data: data["tests"][0].update(verdict="fine"), "report.tests[0].verdict: 'fine' does not fit"),
        (lambda data: data["tests"][0].update(line="12"), "report.tests[0].line: '12' does not fit"),
        (lambda data: data["run"].update(exit_status=True), "report.run.exit_status: True does not fit"),
        (lambda data: data["run"].update(versions=[]), "report.run.versions: [] does not fit"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, said: str) -> None:
    data = asdict(examples.one_of_each())
    change(data)

    with pytest.raises(ReportError, match=re.escape(said)):
        module.read(Results, data)


@pytest.mark.parametrize("text", ['{"format": 1}', "[]", "{}"])
def test_another_format_is_refused(text: str) -> None:
    with pytest.raises(ReportError, match="this release reads 3"):
        load(text)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ReportError, match="it is no JSON"):
        load("{")


def test_a_changed_token_is_told_with_its_neighbours_and_figures() -> None:
    found = examples.changed()

    assert (found.verdict, found.headline, found.cause) == ("changed", "generated token 2 differs", None)
    assert found.snapshot == "snapshots/test_it/test_a.toml"
    here = found.tokens[1]
    assert here.position == found.steps.divergence == 1
    assert here.recorded is not None
    assert here.observed is not None
    assert (here.recorded.text, here.observed.text) == (" and", " but")
    assert found.steps.drift == (3e-6, 1e-3)
    assert found.steps.recorded_margin == (2.0, 1.5, 0.5)
    assert found.recorded_by is not None
    assert (found.recorded_by.versions["transformers"], found.observed_by.versions["transformers"]) == (
        "4.57.6",
        "5.0.0",
    )


def test_a_cause_is_told_with_what_it_rests_on() -> None:
    found = examples.changed(explanation=examples.WHY)

    assert (found.cause, found.block, found.why) == ("forward", "block 2", examples.WHY.sentence)
    assert found.headline == "generated token 2 differs"
    assert found.evidence[0].figures == {"drift": 1e-3, "noise": None}
    assert found.ablations[0].returns is False
    assert found.suggests == examples.WHY.suggests
    assert load(dump(examples.results(examples.result(found)))).tests[0].comparisons[0] == found


def test_of_a_beam_search_the_beam_that_differs_is_told() -> None:
    found = examples.one_of_each().tests[2].comparisons[1]

    assert found.shows == "returned beam 2"
    assert found.recorded is not None
    assert (found.recorded.text, found.observed.text) == ("My name is Ada and you", "My name is Ada and we")


def test_a_classifier_is_told_by_its_inputs() -> None:
    found = examples.told(classification(), classification())

    assert found.shows == "labels"
    assert "Good dog.: calm" in found.observed.text
    assert (found.steps.unit, found.steps.drift) == ("input", (0.0, 0.0))


def test_where_prompts_differ_no_number_is_compared() -> None:
    found = examples.told(generation(), generation(prompt=Prompt("Her name is", (5, 6, 9))))

    assert found.drift is None
    assert found.steps.drift == ()


def test_a_megabyte_of_text_is_cut_to_what_surrounds_the_difference() -> None:
    long = "All work and no play. " * 50_000

    found = examples.told(generation(text=f"{long}Jack{long}"), generation(text=f"{long}Jill{long}"))

    assert found.recorded is not None
    assert len(found.recorded.text) == TEXT
    assert found.recorded.start == found.observed.start
    assert "Jack" in found.recorded.text
    assert "Jill" in found.observed.text
    assert found.recorded.start + len(found.recorded.text) + found.recorded.end == found.recorded.length
    assert found.recorded.length == 2 * len(long) + 4


def test_many_steps_are_cut_to_those_around_the_divergence() -> None:
    steps = THREE * 1000
    now = (*steps[:2000], examples.BUT, *steps[2001:])

    found = examples.told(generation(steps), generation(now, live=live(now))).steps

    assert len(found.recorded_margin) == STEPS
    assert found.start < (found.divergence or 0) == 2000 < found.start + STEPS
    assert found.count == 3000


def test_numbers_that_are_not_finite_and_text_that_is_no_text_are_told_all_the_same() -> None:
    odd = swapped(1, replace(THREE[1], margin=float("inf"), processed=float("-inf"), text="\udc80"))

    found = examples.told(generation(odd), generation(odd))

    assert found.steps.recorded_margin == (2.0, None, 0.5)
    assert found.steps.drift == (0.0, 0.0, 0.0)
    assert "\\udc80" in dump(examples.results(examples.result(found)))


def test_drift_is_told_where_it_is_largest() -> None:
    found = examples.told(beams(), beams(steps=moved(2, by=0.25)))

    assert (found.verdict, found.drift) == ("drift", 0.25)
    assert found.steps.drift == (0.0, 0.0, 0.25)
