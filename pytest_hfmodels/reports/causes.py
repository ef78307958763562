"""What a run says at its end of the tests that share a cause."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.kinds.explanation import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.results.model import Compared, TestResult

_SHOWN = 10
_WHY = 160
_SHARE = re.compile(r"\d+ %")  # of a movement: it differs from test to test even if the cause is the same


@dataclass(frozen=True)
class CauseGroup:
    """The gravest comparisons of tests with one cause and one reason for it, in the order in which the tests ran."""

    cause: str | None
    why: str
    comparisons: tuple[Compared, ...]

    @property
    def sentence(self) -> str:
        """`14 tests: attention: max drift 2.1e-06, 0 tokens changed`."""
        count, tokens = len(self.comparisons), sum(found.changed for found in self.comparisons)
        return (
            f"{count} test{'' if count == 1 else 's'}: {in_words(self.cause)}: {self._movement()}, "
            f"{tokens} token{'' if tokens == 1 else 's'} changed"
        )

    def _movement(self) -> str:
        moved = [found.drift for found in self.comparisons if found.drift is not None]
        if not moved:
            return "no numbers to compare"
        return f"max drift {math.nan if any(map(math.isnan, moved)) else max(moved):.2g}"


def causes(tests: Iterable[TestResult]) -> Iterator[str]:
    """Yield a line for each cause, the commonest first, and its reason below; nothing where no test was explained."""
    groups = grouped(found for test in tests if (found := test.gravest) is not None)
    for group in groups[:_SHOWN]:
        yield visible_line(group.sentence)
        if group.cause is not None:
            why = visible_line(group.why)
            yield f"  {why if len(why) <= _WHY else f'{why[:_WHY]}…'}"
    if len(groups) > _SHOWN:
        yield f"{len(groups) - _SHOWN} more causes: --hfmodels-html FILE tells of all"


def grouped(comparisons: Iterable[Compared]) -> list[CauseGroup]:
    """Return what was explained by cause and reason, the largest group first, those without a cause last."""
    found: dict[tuple[str | None, str], list[Compared]] = defaultdict(list)
    for one in comparisons:
        if one.explanation is not None:
            why = _SHARE.sub("", one.explanation.sentence) if one.cause else ""
            found[one.cause, why].append(one)
    groups = [
        CauseGroup(cause, "" if own[0].explanation is None else own[0].explanation.sentence, tuple(own))
        for (cause, _), own in found.items()
    ]
    return sorted(groups, key=lambda group: (group.cause is None, -len(group.comparisons)))
