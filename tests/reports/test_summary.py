from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.reports.summary import cause_lines, overview

from . import example_results as examples

if TYPE_CHECKING:
    from pytest_hfmodels.results.model import Compared

CHANGED = examples.changed()


def one(number: int, cause: str | None = "attention", why: str = "the kernel", *, tokens: int = 0) -> Compared:
    return replace(CHANGED, explanation=Explanation("drift", cause, why), drift=number * 1e-7, changed=tokens)


NO_DRIFT = replace(one(1, "forward", tokens=2), drift=None)


@pytest.mark.parametrize(
    ("comparisons", "sentence"),
    [
        ([NO_DRIFT], "1 test: forward: no numbers to compare, 2 tokens changed"),
        ([NO_DRIFT, one(3, "forward")], "2 tests: forward: max drift 3e-07, 2 tokens changed"),
        ([one(3), replace(one(1), drift=math.nan)], "2 tests: attention: max drift nan, 0 tokens changed"),
        ([one(1, "test", tokens=1)], "1 test: the test itself: max drift 1e-07, 1 token changed"),
    ],
)
def test_a_cause_in_a_line(comparisons: list[Compared], sentence: str) -> None:
    assert next(cause_lines(comparisons)) == sentence


def test_the_commonest_cause_comes_first_and_unknown_ones_last_and_together() -> None:
    unknown = [one(4, None, "one"), one(5, None, "two"), one(6, None, "three")]

    lines = list(cause_lines([*unknown, one(1), one(2, why="another"), one(3, why="another")]))

    assert [line.partition(": max")[0] for line in lines] == [
        *("2 tests: attention", "  another", "1 test: attention", "  the kernel", "3 tests: cause not known"),
    ]


def test_shares_of_a_movement_do_not_split_a_cause() -> None:
    why = "float32 explains {} % of the movement; the rest remains: the forward pass differs"

    lines = list(cause_lines([one(1, "forward", why.format(80)), one(2, "forward", why.format(7))]))

    assert lines[1:] == [f"  {why.format(80)}"]


def test_rows_of_a_batch_do_not_split_a_cause() -> None:
    lines = list(cause_lines([one(1, "forward", f"row {number}: the forward pass differs") for number in (1, 2)]))

    assert lines == ["2 tests: forward: max drift 1e-07, 0 tokens changed", "  the forward pass differs"]


def test_the_overview_counts_by_verdict_and_cause_the_gravest_first() -> None:
    assert overview(examples.one_of_each().tests)[:4] == [
        *(("changed", "checkpoint:weights", 1), ("changed", "forward", 1), ("changed", None, 1), ("broken", None, 1)),
    ]
