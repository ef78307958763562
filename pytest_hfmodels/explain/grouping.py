"""Tests that share one cause, reported together. Plain values in: under xdist only reports come from the workers."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.explanation import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable


_SHARE = re.compile(r"\d+ %")  # of a movement: it differs from test to test even if the cause is the same


@dataclass(frozen=True)
class TestSummary:
    """The most serious comparison of a test.

    Args:
        test: its node id.
        verdict: of the comparison.
        cause: or None.
        why: the cause in words.
        drift: the largest movement of a number; None if there was nothing to compare.
        tokens: how many generated tokens are others.
    """

    __test__ = False  # pytest would collect it where somebody imports it

    test: str
    verdict: str
    cause: str | None
    why: str
    drift: float | None
    tokens: int


@dataclass(frozen=True)
class CauseGroup:
    """Tests with one cause and one reason for it, in the order in which they ran."""

    cause: str | None
    why: str
    tests: tuple[TestSummary, ...]

    @property
    def sentence(self) -> str:
        """`14 tests: attention: max drift 2.1e-06, 0 tokens changed`."""
        count, tokens = len(self.tests), sum(test.tokens for test in self.tests)
        moved = [test.drift for test in self.tests if test.drift is not None]
        most = math.nan if any(map(math.isnan, moved)) else max(moved, default=0.0)
        drift = f"max drift {most:.2g}" if moved else "no numbers to compare"
        return (
            f"{count} test{'' if count == 1 else 's'}: {in_words(self.cause)}: {drift}, "
            f"{tokens} token{'' if tokens == 1 else 's'} changed"
        )


def grouped(tests: Iterable[TestSummary]) -> list[CauseGroup]:
    """Return tests by cause and reason, the largest group first, those without a cause last."""
    found: dict[tuple[str | None, str], list[TestSummary]] = defaultdict(list)
    for test in tests:
        found[test.cause, _SHARE.sub("", test.why) if test.cause else ""].append(test)
    groups = [CauseGroup(cause, those[0].why, tuple(those)) for (cause, _), those in found.items()]
    return sorted(groups, key=lambda group: (group.cause is None, -len(group.tests)))
