from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.reports.causes import grouped

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
        (list(map(one, range(8, 22))), "14 tests: attention: max drift 2.1e-06, 0 tokens changed"),
    ],
)
def test_a_group_in_a_line(comparisons: list[Compared], sentence: str) -> None:
    (group,) = grouped(comparisons)

    assert group.sentence == sentence


def test_the_largest_group_comes_first_and_the_unknown_last_whatever_its_reasons() -> None:
    unknown = [one(4, None, "one"), one(5, None, "two"), one(6, None, "three")]

    groups = grouped([*unknown, one(1), one(2, why="another"), one(3, why="another")])

    assert [(group.cause, group.why, len(group.comparisons)) for group in groups] == [
        ("attention", "another", 2),
        ("attention", "the kernel", 1),
        (None, "one", 3),
    ]
    assert groups[2].sentence.startswith("3 tests: cause not known: ")


def test_shares_of_a_movement_do_not_split_a_group() -> None:
    why = "float32 explains {} % of the movement; the rest remains: the forward pass differs"

    (group,) = grouped([one(1, "forward", why.format(80)), one(2, "forward", why.format(7))])

    assert (len(group.comparisons), group.why) == (2, why.format(80))
