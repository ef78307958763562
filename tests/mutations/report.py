"""Results of the runs: lines for the terminal, a table for a page, and the test that catches each fault."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.mutations.runner import Result


def line(result: Result) -> str:
    """Return the line of one result."""
    if result.fault is None:
        name = f"no fault, {len(result.passed)} tests"
    else:
        name = f"{result.fault.part}: {result.fault.name}"
    return f"{result.verdict:<12} {result.seconds:>6.1f} s  {name}  {_by(result)}".rstrip()


def totals(results: Sequence[Result]) -> list[str]:
    """Return how many faults were caught, separately for those written later, and for those of projects."""
    said = []
    for title, later, project in (
        *(("faults", False, False), ("later faults", True, False)),
        *(("faults of projects", False, True), ("later faults of projects", True, True)),
    ):
        own = [one for one in results if one.fault is not None and bool(one.fault.project) == project]
        verdicts = [one.verdict for one in own if one.fault is not None and one.fault.later == later]
        if verdicts:
            said.append(f"{verdicts.count('caught')} of {len(verdicts)} {title} caught")
    return said


def markdown(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of a page: totals by part, then every fault."""
    of_faults = [result for result in results if result.fault is not None]
    yield from (f"**{said}.**" for said in totals(results))
    yield from ("", "| part | caught | missed | other |", "|---|---:|---:|---:|")
    for part, group in groupby(of_faults, key=_part):
        verdicts = [result.verdict for result in group]
        caught, missed = verdicts.count("caught"), verdicts.count("missed")
        yield f"| {part} | {caught} | {missed} | {len(verdicts) - caught - missed} |"
    yield from ("", "| part | fault | what the library does | verdict | first seen by |", "|---|---|---|---|---|")
    for result in of_faults:
        assert result.fault is not None
        seen = f"`{_by(result)}`" if result.failed else ""
        verdict = f"**{result.verdict}**" if result.verdict != "caught" else result.verdict
        yield f"| {_part(result)} | {result.fault.name} | {result.fault.says} | {verdict} | {seen} |"


def killers(file: Path) -> dict[str, str]:
    """Return the test that caught each fault."""
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def update_killers(file: Path, results: Sequence[Result]) -> None:
    """Update the tests that caught faults in this run; entries of other faults stay."""
    seen = {result.fault.name: result.failed[0] for result in results if result.fault is not None and result.failed}
    known = killers(file) | seen
    file.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _part(result: Result) -> str:
    assert result.fault is not None
    return f"{result.fault.part} (later)" if result.fault.later else result.fault.part


def _by(result: Result) -> str:
    return "" if not result.failed else result.failed[0].rpartition("/")[2]
