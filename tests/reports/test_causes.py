from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.reports.causes import grouped

from . import example_results as examples

if TYPE_CHECKING:
    from pytest_hfmodels.results.model import Compared

CHANGED = examples.changed()


def told(number: int, cause: str | None = "attention", why: str = "the kernel", *, tokens: int = 0) -> Compared:
    return replace(CHANGED, explanation=Explanation("drift", cause, why), drift=number * 1e-7, changed=tokens)


def test_where_nothing_can_be_compared_no_drift_is_told() -> None:
    (group,) = grouped([replace(told(1, "forward", tokens=2), drift=None)])
    (mixed,) = grouped([replace(told(1, "forward", tokens=2), drift=None), told(3, "forward")])

    assert group.sentence == "1 test: forward: no numbers to compare, 2 tokens changed"
    assert mixed.sentence == "2 tests: forward: max drift 3e-07, 2 tokens changed"


def test_a_drift_that_is_no_number_is_the_largest() -> None:
    (group,) = grouped([told(3, "forward"), replace(told(1, "forward"), drift=math.nan), told(2, "forward")])

    assert group.sentence == "3 tests: forward: max drift nan, 0 tokens changed"


def test_a_test_s_own_doing_reads_as_such() -> None:
    (group,) = grouped([replace(told(1, "test", tokens=1), drift=None)])

    assert group.sentence == "1 test: the test itself: no numbers to compare, 1 token changed"


def test_tests_that_share_a_cause_are_one_line() -> None:
    (group,) = grouped(told(number) for number in range(8, 22))

    assert group.sentence == "14 tests: attention: max drift 2.1e-06, 0 tokens changed"


def test_one_cause_for_two_reasons_is_two_groups_the_larger_first() -> None:
    groups = grouped([told(1), told(2, why="another"), told(3, why="another", tokens=1)])

    assert [(group.why, len(group.comparisons)) for group in groups] == [("another", 2), ("the kernel", 1)]
    assert groups[0].sentence == "2 tests: attention: max drift 3e-07, 1 token changed"
    assert groups[1].sentence.startswith("1 test: ")


def test_what_is_not_known_comes_last_whatever_its_reasons() -> None:
    groups = grouped([told(1, None, "one"), told(2, None, "two"), told(3, None, "three"), told(4)])

    assert [group.cause for group in groups] == ["attention", None]
    assert groups[1].sentence.startswith("3 tests: cause not known: ")


def test_shares_of_a_movement_do_not_split_a_group() -> None:
    why = "float32 explains {} % of the movement; the rest remains: the forward pass differs"

    (group,) = grouped([told(1, "forward", why.format(80)), told(2, "forward", why.format(7))])

    assert (len(group.comparisons), group.why) == (2, why.format(80))
