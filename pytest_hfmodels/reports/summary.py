"""What every report says of a run as a whole: the order of its tests, its verdicts and its causes."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.kinds.explanation import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.results.model import Compared, TestResult

_SHOWN = 10  # causes at the end of a run
_WHY = 160  # characters of a reason there
# The row of a batch, and the share of a movement: they differ from test to test even if the cause is the same.
_ROW, _SHARE = re.compile(r"^row \d+: "), re.compile(r"\d+ %")


def by_severity(tests: Iterable[TestResult]) -> list[TestResult]:
    """Return the tests, those with the gravest verdict first."""
    return sorted(tests, key=lambda test: severity(test.verdict))


def overview(tests: Iterable[TestResult]) -> list[tuple[str, str | None, int]]:
    """Return how many tests there are of each verdict (or `none`) and cause, the gravest and commonest first."""
    counted = Counter((test.verdict or "none", test.cause) for test in tests)
    rows = ((str(verdict), cause, count) for (verdict, cause), count in counted.items())
    return sorted(rows, key=lambda row: (severity(row[0]), -row[2], row[1] is None, row[1] or ""))


def cause_lines(comparisons: Iterable[Compared]) -> Iterator[str]:
    """Yield a line for each cause, the commonest first and unknown ones last, and its reason below."""
    groups: dict[tuple[str | None, str], list[Compared]] = defaultdict(list)
    for found in comparisons:
        if found.explanation is not None:
            why = _ROW.sub("", _SHARE.sub("", found.explanation.sentence)) if found.cause else ""
            groups[found.cause, why].append(found)
    ordered = sorted(groups.values(), key=lambda group: (group[0].cause is None, -len(group)))
    for group in ordered[:_SHOWN]:
        yield visible_line(_sentence(group))
        if group[0].cause is not None and group[0].explanation is not None:
            sentence = group[0].explanation.sentence
            why = visible_line(sentence if len(group) == 1 else _ROW.sub("", sentence))
            yield f"  {why if len(why) <= _WHY else f'{why[:_WHY]}…'}"
    if len(ordered) > _SHOWN:
        yield f"{len(ordered) - _SHOWN} more causes: --hfmodels-html FILE shows all"


def _sentence(group: Sequence[Compared]) -> str:
    """Return `14 tests: attention: max drift 2.1e-06, 0 tokens changed`."""
    moved = [found.drift for found in group if found.drift is not None]
    largest = math.nan if any(map(math.isnan, moved)) else max(moved, default=math.nan)
    drift = f"max drift {largest:.2g}" if moved else "no numbers to compare"
    changed = counted(sum(found.changed for found in group), "token")
    return f"{counted(len(group), 'test')}: {in_words(group[0].cause)}: {drift}, {changed} changed"


def counted(number: int, what: str) -> str:
    """Return `1 test`, `2 tests`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
