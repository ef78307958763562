"""What CI systems read: properties of a test in JUnit XML, and GitHub's annotations at the lines of tests.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.verdicts import Verdict, severity
from pytest_hfmodels.kinds.explanation import in_words
from pytest_hfmodels.reports.summary import by_severity
from pytest_hfmodels.results.deciding import accept_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.base import Course
    from pytest_hfmodels.results.model import Compared, Results, Run, TestResult

MOST = 10  # GitHub shows no more of a step
_TEXT = 120  # characters of each side
_WHY = 300


def properties(comparisons: Sequence[Compared], entry: str | None) -> Iterator[tuple[str, str]]:
    """Yield name and value of each property.

    Args:
        comparisons: all of a test; the most serious one counts for the test.
        entry: the ledger entry that decided about the test, or None.
    """
    if comparisons:
        yield from _of(min(comparisons, key=lambda found: severity(found.verdict)))
    from_base = min(comparisons, key=lambda found: severity(found.base), default=None)
    if from_base is not None and from_base.base is not None:
        entry = entry or from_base.entry
        yield "hfmodels_base", str(from_base.base)
    if entry is not None:
        yield "hfmodels_ledger", entry


def _of(worst: Compared) -> Iterator[tuple[str, str]]:
    yield "hfmodels_verdict", str(worst.verdict)
    if worst.drift is not None:
        yield "hfmodels_drift", f"{worst.drift:.3g}"
    if worst.verdict is not Verdict.SAME:
        yield "hfmodels_says", visible_line(f"{worst.verdict}: {worst.reason} ({worst.snapshot})")
    if worst.cause is not None:
        yield "hfmodels_cause", worst.cause
    if worst.explanation is not None:
        yield "hfmodels_why", visible_line(worst.explanation.sentence)
        yield "hfmodels_tokens", str(worst.changed)


def workflow_commands(results: Results, *, prefix: str = ".") -> Iterator[str]:
    """Yield an error for each test that failed, and a warning for each near-tie that was let through.

    Args:
        results: of the run.
        prefix: where the project lies inside of the repository.
    """
    tests = by_severity(
        test for test in results.tests if test.failed or (test.outcome == "passed" and test.verdict == "near-tie")
    )
    rest = len(tests) - MOST + 1 if len(tests) > MOST else 0
    for test in tests[: len(tests) - rest]:
        title = f"{test.verdict or test.outcome}{f' ({in_words(test.cause)})' if test.cause else ''}: {test.id}"
        place = f"file={_property(normpath(join(prefix, test.file)))},line={test.line or 1},title={_property(title)}"
        yield f"::{'error' if test.failed else 'warning'} {place}::{_message(test, results.run)}"
    if rest:
        yield f"::error title=hfmodels::{rest} more tests changed: the report has all of them (--hfmodels-html)"


def _message(test: TestResult, run: Run) -> str:
    lines = [test.headline or "the test failed"]
    found = next((found for found in test.comparisons if found.headline == test.headline), None)
    if found is not None:
        lines += [found.phrase] if found.phrase else _tokens(found.course)
        if found.explanation is not None:
            lines.append(found.explanation.sentence[:_WHY])
        if accept := accept_command(found, run):
            lines.append(f"accept it: {accept}")
    return _escaped("\n".join(lines))


def _tokens(course: Course | None) -> Iterator[str]:
    if course is not None and course.divergence is not None:
        place = course.divergence - course.start
        sides = [
            repr(parts[place].text) if place < len(parts) else "the end" for parts in (course.recorded, course.observed)
        ]
        yield f"recorded {sides[0]:.{_TEXT}}, now {sides[1]:.{_TEXT}}"


def _escaped(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
