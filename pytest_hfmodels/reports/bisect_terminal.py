"""What `hfmodels bisect` prints and writes: the first bad release, how its output differs, and how each was judged."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pytest_hfmodels.reports import pages
from pytest_hfmodels.versions.results import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.versions.bisect import BisectAnswer
    from pytest_hfmodels.versions.bisection import Judged
    from pytest_hfmodels.versions.environments import ChangedPackage
    from pytest_hfmodels.versions.results import Cell

_COMMAND = re.compile(r"\s*(accept it|record it|find the release): ")
_LINES = 24  # of one test's explanation


def answer_lines(answer: BisectAnswer) -> Iterator[str]:
    """Yield the lines of the answer, with control characters escaped."""
    newer = Version(answer.question.bad) > Version(answer.question.good)
    yield from pages.render("bisect.txt", **answer_data(answer), newer=newer).splitlines()


def answer_data(answer: BisectAnswer) -> dict[str, Any]:
    """Return the answer as plain data for JSON."""
    question, found = answer.question, answer.found
    return {
        "format": 4,
        "package": question.name,
        "arguments": list(question.arguments),
        "good": question.good,
        "bad": question.bad,
        "last_good": found.good.version,
        "first_bad": found.bad.version,
        "exact": found.exact,
        "separated": answer.separated,
        "separating": list(answer.separating),
        "inseparable": list(answer.inseparable),
        "known": [{"name": change.name, "sentence": change.sentence, "when": change.when} for change in answer.known],
        "untestable": [_judged(judged) for judged in found.between],
        "moved": [_moved(moved) for moved in answer.moved],
        "accept": answer.accepting,
        "differing": [
            {"test": nodeid, "state": str(cell.state), "reason": cell.reason, "explanation": explanation(cell)}
            for nodeid, cell in answer.differing.items()
        ],
        "judged": [{**_judged(judged), **_ran(answer, judged)} for judged in found.judged],
    }


def _judged(judged: Judged) -> dict[str, str]:
    return {"version": judged.version, "judgement": str(judged.judgement), "reason": judged.reason}


def _ran(answer: BisectAnswer, judged: Judged) -> dict[str, Any]:
    row = answer.results.get(judged.version)
    if row is None:
        return {"moved": [], "seconds": None}
    return {"moved": [_moved(moved) for moved in row.moved], "seconds": round(row.seconds, 1)}


def _moved(moved: ChangedPackage) -> dict[str, str | None]:
    return {"name": moved.name, "before": moved.before, "after": moved.after}


def explanation(cell: Cell) -> list[str]:
    """Return the lines of a failure that say what is wrong: those that pytest marks, or else the last ones."""
    lines = cell.details.splitlines()
    marked = [line[1:] for line in lines if re.match(r"E(\s|$)", line)]
    text = dedent("\n".join(marked or lines))
    if cell.state is not State.BROKEN:  # depending on the quotes in the text, pytest omits this word
        text = text.removeprefix("AssertionError: ")
    # A snapshot of the good release is not to be accepted, and the release is what this finds.
    told = [line for line in text.removeprefix("assert ").splitlines() if not _COMMAND.match(line)]
    shown = told[:_LINES] if marked else told[-_LINES:]
    return [*shown, *(["…"] if len(told) > len(shown) else [])] or [cell.reason]
