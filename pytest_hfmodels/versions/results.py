"""What a row's tests said: one cell a test, from what its pytest left behind."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.results.model import ReportError, TestResult, decode, encode
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_hfmodels.versions.running import PytestRun

_REASON = 300  # characters of a reason
_TAIL = 12  # lines of a log that say why pytest gave up
_UNFAILED = "though no test failed"


class State(StrEnum):
    """What became of a test in a row."""

    SAME = "same"
    DRIFT = "drift"
    NEAR_TIE = "near-tie"
    MISSING = "missing"
    BROKEN = "broken"
    CHANGED = "changed"
    REMOVED = "removed"
    SKIPPED = "skipped"
    NOT_RUN = "not-run"
    BUILD_FAILED = "build-failed"
    CRASHED = "crashed"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Cell:
    """One test in one row.

    Args:
        state: what became of it.
        reason: why, in a line; empty for what is the same.
        known: the ledger entry that explains it.
        seconds: what the test took, with its fixtures.
        details: the failure as pytest told it.
        raises: the exception of a failed test, and the phase: `TypeError in call`; empty if unknown.
    """

    state: State
    reason: str = ""
    known: str | None = None
    seconds: float = 0.0
    details: str = ""
    raises: str = ""

    @property
    def explained(self) -> bool:
        """Whether nobody has to look at it."""
        return self.known is not None or self.state in (State.SAME, State.SKIPPED)


@dataclass(frozen=True)
class RowResult:
    """What came of a row.

    Args:
        name: the row's.
        versions: what was installed, by canonical name.
        moved: what else was different, as `environments.ChangedPackage` tells it.
        cells: by node id, in the order in which they were collected.
        problem: why the row is not whole (not built, crashed, out of time, nothing collected); None where it is.
        note: what else the reader should know of it.
        seconds: what its pytest took.
        exit_code: of its pytest; None where none ran.
        log: what its pytest printed.
    """

    name: str
    versions: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[ChangedPackage, ...] = ()
    cells: Mapping[str, Cell] = field(default_factory=dict)
    problem: str | None = None
    note: str = ""
    seconds: float = 0.0
    exit_code: int | None = None
    log: str = ""

    @property
    def only_ended_badly(self) -> bool:
        """Whether all its tests ran, none failed, and its pytest was not content all the same."""
        return self.problem is not None and self.problem.endswith(_UNFAILED)

    @property
    def built(self) -> bool:
        """Whether there was an environment to run in."""
        return self.exit_code is not None

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        cells = {nodeid: replace(cell, seconds=round(cell.seconds, 3)) for nodeid, cell in self.cells.items()}
        data: dict[str, Any] = json.loads(encode(replace(self, cells=cells, seconds=round(self.seconds, 3))))
        return data

    @classmethod
    def from_data(cls, data: object) -> RowResult:
        """Return what `to_data` was made from.

        Raises:
            ValueError: the data are not a row.
        """
        try:
            found = decode(json.dumps(data, allow_nan=False), cls, "The row")
        except ReportError as error:
            raise ValueError(error.message) from error
        if any(seconds < 0 for seconds in (found.seconds, *(cell.seconds for cell in found.cells.values()))):
            raise ValueError("a row took a negative time")
        return found


def read_run(name: str, run: PytestRun, **about: Any) -> RowResult:
    """Return what a run says, however it ended.

    Args:
        name: the row's.
        run: what its pytest left.
        about: more fields of `RowResult` (versions, moved, note).
    """
    events = list(_lines(run.events))
    collected = dict.fromkeys(nodeid for nodeids in _said(events, "collected") for nodeid in nodeids)
    uncollected = _said(events, "uncollected")
    results = [decode(json.dumps(found), TestResult) for found in _said(events, "result")]
    cells = {found["id"]: _uncollected(found) for found in uncollected} | {one.id: _cell(one) for one in results}
    finished = bool(_said(events, "finished")) and not run.timed_out
    failed = bool(uncollected) or any(result.failed for result in results)
    problem = _problem(run, finished=finished, empty=not cells, failed=failed)
    if not finished:
        cells |= _unfinished(events, results, run, problem or "")
    reason = f"did not run: {problem}" if problem else "did not run: pytest stopped before it"
    ordered = {nodeid: cells.pop(nodeid, Cell(State.NOT_RUN, reason)) for nodeid in collected} | cells
    return RowResult(
        name, cells=ordered, problem=problem, seconds=run.seconds, exit_code=run.exit_code, log=str(run.log), **about
    )


def _said(events: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [event[name] for event in events if name in event]


def _unfinished(
    events: Sequence[Mapping[str, Any]], results: Sequence[TestResult], run: PytestRun, problem: str
) -> dict[str, Cell]:
    """Return the cell of the test that had begun last and not ended when the process died, if there is one."""
    over = {result.id for result in results}
    began = map(str, _said(events, "began"))
    culprit = next((nodeid for nodeid in reversed([*began]) if nodeid not in over), None)
    state = State.TIMEOUT if run.timed_out else State.CRASHED
    return {} if culprit is None else {culprit: Cell(state, problem, details=_tail(run.log))}


def _cell(result: TestResult) -> Cell:
    """Return the cell of a test."""
    about: dict[str, Any] = {"seconds": result.seconds, "known": result.entry}
    reason = _short(result.headline.removeprefix(f"{result.entry}: "))
    if result.failed:
        return _failed(result)
    if result.outcome == "xfailed":
        if result.entry is not None:
            return Cell(State.BROKEN, reason, **about)
        return Cell(State.SAME, _short(f"expected failure: {result.headline}"), **about)
    if result.outcome == "skipped":
        return Cell(State.SKIPPED if result.entry is None else State.REMOVED, reason, **about)
    known = next((found.entry for found in result.comparisons if found.entry is not None), None)
    told = "" if known is None or result.gravest is None else _told(result)
    return Cell(State(result.base or result.verdict or Verdict.SAME), told, known, result.seconds)


def _failed(result: TestResult) -> Cell:
    about: dict[str, Any] = {"seconds": result.seconds, "details": result.details}
    if result.failed_in is None:
        return Cell(State.CRASHED, _short(result.headline), **about)
    if result.verdict not in (None, Verdict.BROKEN):
        return Cell(State(result.verdict), _told(result), **about)
    before = "" if result.failed_in == "call" else f"at {result.failed_in}: "
    raises = f"{result.raises} in {result.failed_in}" if result.raises else ""
    return Cell(State.BROKEN, _short(before + result.headline), raises=raises, **about)


def _told(result: TestResult) -> str:
    found = result.gravest
    if found is None or found.verdict is Verdict.SAME:
        return ""
    return _short(visible_line(f"{found.reason} ({found.snapshot})"))


def _uncollected(found: Mapping[str, Any]) -> Cell:
    if found["skipped"]:
        return Cell(State.SKIPPED, _short(found["reason"]))
    return Cell(State.BROKEN, _short(f"cannot be collected: {found['reason']}"), details=found["details"])


# -- rows that are not whole -----------------------------------------------------------------------------------------


def _problem(run: PytestRun, *, finished: bool, empty: bool, failed: bool) -> str | None:
    if run.timed_out:
        return f"timed out after {run.timeout:g} s"
    if not finished:
        last = _last_words(run.log, errors_only=True)
        return f"crashed with {_exit(run.exit_code)}{f': {last}' if last else ''}"
    if run.exit_code == 5:
        return "no test was collected"
    if run.exit_code in (3, 4) or (run.exit_code == 2 and empty):
        return f"pytest gave up (exit code {run.exit_code}): {_last_words(run.log)}"
    if run.exit_code not in (0, 2) and not failed:  # whoever ends with 2 early has tests that did not run
        return f"pytest ended with {_exit(run.exit_code)} {_UNFAILED}"
    return None


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _short(text: str) -> str:
    line = portable(" ".join(text.split()))
    return line if len(line) <= _REASON else f"{line[: _REASON - 1]}…"


def _last_words(log: Path, *, errors_only: bool = False) -> str:
    """Return the last line of a log that says what is wrong, or else the last that says something."""
    lines = [line for line in _tail(log).splitlines() if not re.match(r"[=\-_ ]*$|=+ .* =+$", line)]
    errors = [
        line for line in lines if re.match(r"(ERROR|INTERNALERROR>|Fatal Python error|\w+(Error|Exception)):?", line)
    ]
    return _short((errors or ([] if errors_only else lines) or [""])[-1])


def _tail(log: Path) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL:])


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file; a process that died may have left half a line."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
