"""A run as Markdown: for a CI's step summary or a pull request. Short: the HTML report holds the rest."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.reports import pages
from pytest_hfmodels.reports.summary import by_severity, overview
from pytest_hfmodels.results.describe import passages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_hfmodels.kinds.comparison import Passage
    from pytest_hfmodels.results.model import Compared, Results, TestResult

MOST = 1024 * 1024  # bytes: GitHub takes no more of summary a step, and shows none of a larger one
SHOWN = 50  # tests with their texts
_AT_ONCE = 10  # of a verdict and cause, before those of the next
_NAMED = 500
_ROOM = 400_000  # bytes of those that are shown, and as many of those that are named
_BEFORE, _FROM = 80, 320  # characters of each side before and from the divergence


def render(results: Results) -> str:
    """Return the page: verdicts, then each test that somebody should look at, the gravest first."""
    tests = by_severity(test for test in results.tests if test.failed or test.verdict not in ("same", None))
    bodies = {test.id: _body(test) for test in _mixed(tests)[:SHOWN]}
    fitting = _fitting(bodies.values())
    groups: dict[str | None, list[str]] = {
        test.cause: [] for test in sorted(tests, key=lambda test: test.cause is None)
    }
    for test in _mixed(tests)[:fitting]:
        groups[test.cause].append(bodies[test.id])
    shown = {test.id for test in _mixed(tests)[:fitting]}
    rest = [test for test in tests if test.id not in shown]
    names = [pages.render("test_name.md", test=test) for test in rest[:_NAMED]]
    page = pages.render(
        "report.md",
        run=results.run,
        count=len(results.tests),
        overview=overview(tests),
        groups={cause: found for cause, found in groups.items() if found},
        rest=len(rest),
        names=names[: _fitting(names)],
    )
    return str(page)


def _mixed(tests: Iterable[TestResult]) -> list[TestResult]:
    """Return some of each verdict and cause first, so that none fills the page alone."""
    seen: Counter[tuple[str | None, str | None]] = Counter()
    turns = []
    for test in tests:
        turns.append((seen[test.verdict, test.cause] // _AT_ONCE, test))
        seen[test.verdict, test.cause] += 1
    return [test for _, test in sorted(turns, key=lambda turn: turn[0])]


def _fitting(parts: Iterable[str]) -> int:
    """Return how many of the parts there is room for."""
    weights = accumulate(len(part.encode("utf-8", "replace")) for part in parts)
    return sum(1 for _ in takewhile(lambda weight: weight <= _ROOM, weights))


def _body(test: TestResult) -> str:
    comparisons = [(found, _sides(found)) for found in test.comparisons if found.verdict != "same"]
    return pages.render("report_test.md", test=test, comparisons=comparisons)


def _sides(found: Compared) -> str:
    """Return both texts as lines of a diff, where they part; nothing if they are equal."""
    now = found.observed.text
    if found.recorded is None:
        return _marked("+", now.text[: _BEFORE + _FROM])
    before = found.recorded.text
    if before == now:
        return ""
    sides = zip("-+", (before, now), passages(before.text, now.text), strict=True)
    return "\n".join(_marked(mark, _around(passage, excerpt)) for mark, excerpt, passage in sides)


def _around(passage: Passage, excerpt: Any) -> str:
    start, rest = passage.before[-_BEFORE:], passage.different + passage.after
    left = excerpt.start or len(passage.before) > _BEFORE
    right = excerpt.end or len(rest) > _FROM
    return f"{'…' if left else ''}{start}{rest[:_FROM]}{'…' if right else ''}"


def _marked(mark: str, text: str) -> str:
    return "\n".join(f"{mark} {line}" for line in text.splitlines() or [""])
