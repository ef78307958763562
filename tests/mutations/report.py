"""The table of caught and missed faults: for a terminal, for a page, for a program."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from tests.mutations.runner import Result

STYLES = {"caught": "green", "missed": "red"}


def line(result: Result) -> str:
    """Return one result as it comes."""
    name = "no fault" if result.fault is None else f"{result.fault.part}: {result.fault.name}"
    verdict = "passes" if result.fault is None and result.verdict == "missed" else result.verdict
    return f"{verdict:<12} {result.seconds:>6.1f} s  {name}  {_by(result)}".rstrip()


def totals(results: Sequence[Result]) -> list[str]:
    """Return how many were caught, of those written before the properties and of those written later."""
    said = []
    for title, later in (("faults", False), ("later faults", True)):
        of_kind = [result for result in results if result.fault is not None and result.fault.later == later]
        if of_kind:
            caught = sum(result.verdict == "caught" for result in of_kind)
            seconds = sum(result.seconds for result in of_kind)
            said.append(f"{caught} of {len(of_kind)} {title} caught, in {seconds:.0f} s")
    return said


def table(results: Sequence[Result]) -> RenderableType:
    """Return a table for the terminal."""
    from rich.table import Table

    made = Table("part", "fault", "verdict", "first seen by", "seconds")
    for result in _of_faults(results):
        assert result.fault is not None
        style = STYLES.get(result.verdict, "yellow")
        made.add_row(
            result.fault.part, result.fault.name, f"[{style}]{result.verdict}", _by(result), f"{result.seconds:.1f}"
        )
    return made


def markdown(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of a page: totals by part, then every fault."""
    yield from (f"**{said}.**" for said in totals(results))
    yield from ("", "| part | caught | missed | other |", "|---|---:|---:|---:|")
    for part, group in groupby(_of_faults(results), key=_part):
        verdicts = [result.verdict for result in group]
        caught, missed = verdicts.count("caught"), verdicts.count("missed")
        yield f"| {part} | {caught} | {missed} | {len(verdicts) - caught - missed} |"
    yield from ("", "| part | fault | what the library does | verdict | first seen by |", "|---|---|---|---|---|")
    for result in _of_faults(results):
        assert result.fault is not None
        seen = f"`{_by(result)}`" if result.by else ""
        verdict = f"**{result.verdict}**" if result.verdict != "caught" else result.verdict
        yield f"| {_part(result)} | {result.fault.name} | {result.fault.says} | {verdict} | {seen} |"


def as_json(results: Sequence[Result]) -> str:
    """Return everything, for a program."""
    found = [
        {
            "fault": result.fault and result.fault.name,
            "part": result.fault and result.fault.part,
            "later": result.fault is not None and result.fault.later,
            "says": result.fault and result.fault.says,
            "reference": result.fault and result.fault.reference,
            "verdict": result.verdict,
            "by": list(result.by),
            "ran": result.ran,
            "seconds": result.seconds,
            "output": result.output if result.verdict not in ("caught", "missed") else "",
        }
        for result in results
    ]
    return json.dumps(found, indent=1)


def _of_faults(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.fault is not None]


def _part(result: Result) -> str:
    assert result.fault is not None
    return f"{result.fault.part} (later)" if result.fault.later else result.fault.part


def _by(result: Result) -> str:
    return "" if not result.by else result.by[0].rpartition("/")[2]
