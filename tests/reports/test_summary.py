from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import Difference
from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.reports.summary import Summary, overview
from pytest_hfmodels.reports.summary_lines import summary_lines
from pytest_hfmodels.results.remedies import remedy

from . import example_results as examples

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from pytest_hfmodels.results.model import Compared

CHANGED = examples.changed()


def one(number: int, cause: str | None = "attention", why: str = "the kernel", *, tokens: int = 0) -> Compared:
    return replace(CHANGED, explanation=Explanation("drift", cause, why), drift=number * 1e-7, changed=tokens)


NO_DRIFT = replace(one(1, "forward", tokens=2), drift=None)


def summary(*comparisons: Compared) -> Summary:
    tests = (examples.result(one, name=f"test_{number}") for number, one in enumerate(comparisons))
    return Summary(tuple(tests))


@pytest.mark.parametrize(
    ("comparisons", "figures"),
    [
        ([NO_DRIFT], "1 test, 2 tokens changed"),
        ([NO_DRIFT, one(3, "forward")], "2 tests, 2 tokens changed, numbers up to the change moved by at most 3e-07"),
        ([one(3), replace(one(1), drift=math.nan)], "2 tests, numbers moved by at most nan"),
        (
            [replace(one(0), drift=0.0, differences=(Difference("labels", "count[0]", "5", "7"),))],
            "1 test, no number with a tolerance moved",
        ),
        ([one(1, "test", tokens=1)], "1 test, 1 token changed, numbers up to the change moved by at most 1e-07"),
    ],
)
def test_a_cause_s_figures(comparisons: list[Compared], figures: str) -> None:
    (cause,) = summary(*comparisons).causes

    assert cause.figures == figures


def test_the_gravest_and_commonest_cause_comes_first_and_unknown_ones_last_and_together() -> None:
    unknown = [one(4, None, "one"), one(5, None, "two"), one(6, None, "three")]
    drift = replace(one(7, "dtype"), verdict=Verdict.DRIFT)

    found = summary(drift, *unknown, one(1), one(2, why="another"), one(3, why="another")).causes

    assert [(cause.title, cause.sentence, len(cause.tests)) for cause in found] == [
        *(("attention", "another", 2), ("attention", "the kernel", 1)),
        *(("cause not known", "one (1 output); two (1 output); three (1 output)", 3), ("dtype", "the kernel", 1)),
    ]


@pytest.mark.parametrize(
    "why", ["float32 explains {} % of the movement; the rest remains: the forward pass differs", "row {}: the head"]
)
def test_what_is_a_test_s_own_does_not_split_a_cause(why: str) -> None:
    (cause,) = summary(one(1, "forward", why.format(80)), one(2, "forward", why.format(7))).causes

    assert len(cause.tests) == 2
    assert "80" not in cause.sentence


def test_a_headline_says_what_moved_how_many_tests_and_how_many_causes() -> None:
    told = Summary(examples.one_of_each().tests)

    assert told.headline.startswith("transformers 4.57.6 → 5.0.0: 3 outputs changed, 1 broken, 1 near-tie, 1 drifted")
    assert told.headline.endswith("1 new; 2 causes")
    assert summary(CHANGED).headline == "transformers 4.57.6 → 5.0.0: 1 text changed"


def test_a_release_that_is_known_is_named_with_what_brings_the_old_output_back() -> None:
    known = Explanation("changed", "search", "another rule", rules=("ended_beams_first",), releases="transformers<4.50")

    (cause,) = summary(replace(CHANGED, explanation=known)).causes

    assert (cause.since, cause.remedy) == ("since transformers 4.50", "install transformers<4.50")


@pytest.mark.parametrize(
    ("cause", "before", "said"),
    [
        ("dtype", {"dtype": "float16"}, 'load the model in float16: dtype="float16"'),
        ("attention", {"attention": "flash"}, 'load the model with flash attention: attention="flash"'),
        ("forward", {}, ""),
        ("test", {}, ""),
    ],
)
def test_each_cause_has_a_way_back_or_none(cause: str, before: dict[str, Any], said: str) -> None:
    side = CHANGED.recorded
    assert side is not None
    then = replace(side, provenance=replace(side.provenance, **before))

    assert remedy(replace(one(1, cause), recorded=then)) == said


def test_the_remedy_for_a_padding_side_names_the_tokenizer_s_file() -> None:
    """`generate`, `classify` and `embed` take no padding_side."""
    side = Difference("settings", "padding_side", "left", "right")

    said = remedy(replace(one(1, "settings"), differences=(side,)))

    assert CHANGED.recorded is not None
    assert said == f"set padding_side to 'left' in the tokenizer_config.json of {CHANGED.recorded.checkpoint.name}"


def test_remedies_beyond_the_fourth_are_counted() -> None:
    recorded = CHANGED.recorded
    assert recorded is not None
    sides = [replace(recorded, provenance=replace(recorded.provenance, dtype=f"float{number}")) for number in range(6)]

    (cause,) = summary(*(replace(one(1, "dtype"), recorded=side) for side in sides)).causes

    assert cause.remedy.count("load the model in") == 4
    assert cause.remedy.endswith("; and 2 more")


def test_every_comparison_of_a_test_is_counted_among_the_causes() -> None:
    tests = (examples.result(one(1, "forward"), one(2, "search")),)

    assert [cause.name for cause in Summary(tests).causes] == ["forward", "search"]


def test_the_lines_of_a_run_s_end(snapshot: SnapshotAssertion) -> None:
    assert "\n".join(summary_lines(Summary(examples.one_of_each().tests))) == snapshot


def test_the_overview_counts_by_verdict_and_cause_the_gravest_first() -> None:
    assert overview(examples.one_of_each().tests)[:4] == [
        *(("changed", "checkpoint:weights", 1), ("changed", "forward", 1), ("changed", None, 1), ("broken", None, 1)),
    ]
