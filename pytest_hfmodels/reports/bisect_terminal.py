"""What `hfmodels bisect` prints: the first bad release, how its output differs, and how every release was judged."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.versions.bisection import Judgement
from pytest_hfmodels.versions.results import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.versions.bisect import BisectAnswer
    from pytest_hfmodels.versions.bisection import Judged
    from pytest_hfmodels.versions.environments import ChangedPackage
    from pytest_hfmodels.versions.results import Cell

_LINES = 24  # of one test's explanation
_TESTS = 5  # that are explained


def answer_lines(answer: BisectAnswer) -> Iterator[str]:
    """Yield the lines of the answer, with control characters escaped."""
    return map(visible_line, _lines(answer))


def _lines(answer: BisectAnswer) -> Iterator[str]:
    package, found = answer.question.name, answer.found
    yield from _headline(package, answer)
    yield ""
    yield f"With {found.bad.version}, against what {answer.question.good} gives:"
    differing = list(answer.differing.items())
    for nodeid, cell in differing[:_TESTS]:
        yield f"  {nodeid}: {cell.state}"
        yield from (f"    {line}" for line in explanation(cell))
    if len(differing) > _TESTS:
        yield f"  and {len(differing) - _TESTS} more tests"
    yield ""
    if answer.moved:
        yield f"Between {found.good.version} and {found.bad.version} also moved: {_moves(answer.moved)}."
    else:
        yield f"Between {found.good.version} and {found.bad.version} nothing else moved."
    yield "Judged, in this order:"
    for judged in found.judged:
        yield from _judged_lines(answer, judged)


def answer_data(answer: BisectAnswer) -> dict[str, Any]:
    """Return the answer as plain data for JSON."""
    found = answer.found
    return {
        "format": 2,
        "package": answer.question.name,
        "arguments": list(answer.question.arguments),
        "good": answer.question.good,
        "bad": answer.question.bad,
        "last_good": found.good.version,
        "first_bad": found.bad.version,
        "exact": found.exact,
        "separated": answer.separated,
        "separating": [] if answer.separated or not found.exact else list(answer.separating),
        "untestable": [_judged_data(judged) for judged in found.between],
        "moved": [_moved_data(moved) for moved in answer.moved],
        "differing": [
            {"test": nodeid, "state": str(cell.state), "reason": cell.reason, "explanation": explanation(cell)}
            for nodeid, cell in answer.differing.items()
        ],
        "judged": [
            {
                **_judged_data(judged),
                "moved": [_moved_data(moved) for moved in _moved_in(answer, judged)],
                "seconds": round(answer.results[judged.version].seconds, 1)
                if judged.version in answer.results
                else None,
            }
            for judged in found.judged
        ],
    }


def explanation(cell: Cell) -> list[str]:
    """Return the lines of a failure that say what is wrong: those that pytest marks, or else the last ones."""
    lines = cell.details.splitlines()
    marked = [line[1:] for line in lines if re.match(r"E(\s|$)", line)]
    text = dedent("\n".join(marked or lines))
    if cell.state is not State.BROKEN:  # depending on the quotes in the text, pytest omits this word
        text = text.removeprefix("AssertionError: ")
    told = text.removeprefix("assert ").splitlines()
    # A snapshot is not to be accepted here, and everything is shown already.
    told = [line for line in told if not re.match(r"\s*accept it: ", line)]
    shown = told[:_LINES] if marked else told[-_LINES:]
    return [*shown, *(["…"] if len(told) > len(shown) else [])] or [cell.reason]


def _headline(package: str, answer: BisectAnswer) -> Iterator[str]:
    found = answer.found
    good, bad = found.good.version, found.bad.version
    if not found.exact:
        yield f"{package}: good until {good}, bad from {bad}; the releases between could not be judged:"
        yield from (f"  {judged.version}: {judged.reason}" for judged in found.between)
    elif not answer.separated:
        yield from _not_separated(package, answer)
    elif Version(answer.question.bad) > Version(answer.question.good):
        yield f"{package}: the first bad release is {bad}; {good} is good."
    else:
        yield f"{package}: the last bad release is {bad}; {good} is good."


def _not_separated(package: str, answer: BisectAnswer) -> Iterator[str]:
    good, bad = answer.found.good.version, answer.found.bad.version
    others, (first, *more) = " and ".join(one.name for one in answer.moved), answer.separating
    moves = ", ".join(f"{one.before} -> {one.after or 'none'}" for one in answer.moved)
    yield (
        f"{package}: the output changes between {good} and {bad}, but {others} changed version, too ({moves}). "
        "Any of these packages may be the reason."
    )
    yield f"To find out, keep {others} at one version:"
    yield f"  {first}"
    for command in more:
        yield f"If that cannot be installed, keep {package} at one version instead:"
        yield f"  {command}"


def _judged_lines(answer: BisectAnswer, judged: Judged) -> Iterator[str]:
    yield f"  {judged.version:10} {judged.judgement:13} {judged.reason}"
    moved = _moved_in(answer, judged)
    if moved and judged.judgement in (Judgement.GOOD, Judgement.BAD):
        other = "the current environment" if judged.version == answer.question.good else answer.question.good
        yield f"  {'':24} unlike {other}: {_moves(moved)}"


def _moved_in(answer: BisectAnswer, judged: Judged) -> tuple[ChangedPackage, ...]:
    return answer.results[judged.version].moved if judged.version in answer.results else ()


def _moves(moved: Iterable[ChangedPackage]) -> str:
    return ", ".join(f"{entry.name} {entry.before} -> {entry.after or 'none'}" for entry in moved)


def _moved_data(moved: ChangedPackage) -> dict[str, str | None]:
    return {"name": moved.name, "before": moved.before, "after": moved.after}


def _judged_data(judged: Judged) -> dict[str, str]:
    return {"version": judged.version, "judgement": str(judged.judgement), "reason": judged.reason}
