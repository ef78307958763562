"""Inline annotations: GitHub's workflow commands, one line each, at the line of the test that they are about.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.kinds.explanation import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds.base import Course
    from pytest_hfmodels.results.model import Results, TestResult

MOST = 10  # GitHub shows no more of a step
_TEXT = 120  # characters of each side
_WHY = 300


def commands(results: Results, *, prefix: str = ".") -> Iterator[str]:
    """Yield an error for each test that failed, and a warning for each near-tie that was let through.

    Args:
        results: of the run.
        prefix: where the project lies inside of the repository.
    """
    told = [test for test in results.tests if test.failed or (test.outcome == "passed" and test.verdict == "near-tie")]
    told.sort(key=lambda test: severity(test.verdict or "same"))
    for test in told[: MOST if len(told) <= MOST else MOST - 1]:
        yield _command(test, prefix)
    if len(told) > MOST:
        rest = len(told) - MOST + 1
        yield f"::error title=hfmodels::{rest} more tests changed: the report tells of all (--hfmodels-html)"


def _command(test: TestResult, prefix: str) -> str:
    level = "error" if test.failed else "warning"
    place = {"file": normpath(join(prefix, test.file)), "line": str(test.line or 1)}
    title = f"{test.verdict or test.outcome}{f' ({in_words(test.cause)})' if test.cause else ''}: {test.id}"
    properties = ",".join(f"{name}={_property(value)}" for name, value in {**place, "title": title}.items())
    return f"::{level} {properties}::{_message(_said(test))}"


def _said(test: TestResult) -> str:
    lines = [test.headline or "the test failed"]
    compared = next((found for found in test.comparisons if found.headline == test.headline), None)
    if compared is not None:
        lines += _tokens(compared.course)
        if compared.explanation is not None:
            lines.append(compared.explanation.sentence[:_WHY])
        if compared.saved:
            lines.append(f"accept it: {command('hfmodels', 'accept', operand(compared.writer))}")
    return "\n".join(lines)


def _tokens(course: Course | None) -> Iterator[str]:
    if course is not None and course.divergence is not None:
        place = course.divergence - course.start
        sides = [
            repr(parts[place].text) if place < len(parts) else "the end" for parts in (course.recorded, course.observed)
        ]
        yield f"recorded {sides[0]:.{_TEXT}}, now {sides[1]:.{_TEXT}}"


def _message(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
