"""What a row's tests said: one cell a test, from what its pytest left behind."""

from __future__ import annotations

import json
import math
import re
import signal
from dataclasses import dataclass, field
from enum import StrEnum
from types import NoneType
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.verdicts import BY_SEVERITY
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_hfmodels.versions.environments import ChangedPackage
    from pytest_hfmodels.versions.running import PytestRun

_REASON = 300  # characters of a reason
_DETAILS = 6000  # characters of a failure's text
_TAIL = 12  # lines of a log that say why pytest gave up
_UNFAILED = "though no test failed"
_COMPARED = frozenset(BY_SEVERITY) - {"broken"}  # verdicts of a comparison


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
        environment: names what was installed.
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
    environment: str = ""

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
        return {
            "name": self.name,
            "versions": dict(self.versions),
            "moved": [[entry.name, entry.before, entry.after] for entry in self.moved],
            "cells": {nodeid: _cell_data(cell) for nodeid, cell in self.cells.items()},
            "problem": self.problem,
            "note": self.note,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
            "log": self.log,
            "environment": self.environment,
        }

    @classmethod
    def from_data(cls, data: object) -> RowResult:
        """Return what `to_data` was made from.

        Raises:
            ValueError: the data are not a row.
        """
        from pytest_hfmodels.versions.environments import ChangedPackage

        whole = _fields("a row", data, _ROW)
        cells = {_text_of("a test", nodeid): _cell_from(cell) for nodeid, cell in whole["cells"].items()}
        for name, version in whole["versions"].items():
            _text_of("a version", name + _text_of("a version", version))
        moved = tuple(ChangedPackage(*_moved_from(entry)) for entry in whole["moved"])
        return cls(**{**whole, "cells": cells, "moved": moved})


def read_run(name: str, run: PytestRun, **about: Any) -> RowResult:
    """Return what a run says, however it ended.

    Args:
        name: the row's.
        run: what its pytest left.
        about: more fields of `RowResult` (versions, moved, note, environment).
    """
    reports, events = list(_lines(run.report)), list(_lines(run.events))
    finished = any(report.get("$report_type") == "SessionFinish" for report in reports)
    cells = _cells(reports)
    failed = any(report.get("outcome") == "failed" for report in reports)
    problem = _problem(run, finished=finished and not run.timed_out, empty=not cells, failed=failed)
    if run.timed_out or not finished:
        state = State.TIMEOUT if run.timed_out else State.CRASHED
        culprit = _culprit(events, reports)
        if culprit is not None:
            cells[culprit] = Cell(state, problem or "", details=_tail(run.log))
    cells = {**cells, **_never_ran(events, cells, problem)}
    order = {nodeid: place for place, nodeid in enumerate(_collected(events))}
    ordered = dict(sorted(cells.items(), key=lambda item: order.get(item[0], len(order))))
    return RowResult(
        name, cells=ordered, problem=problem, seconds=run.seconds, exit_code=run.exit_code, log=str(run.log), **about
    )


def _cells(reports: Iterable[Mapping[str, Any]]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    phases: dict[str, dict[str, Mapping[str, Any]]] = {}
    for report in reports:
        if report.get("$report_type") == "TestReport":
            phases.setdefault(report["nodeid"], {})[report["when"]] = report  # a rerun's replace the first's
        elif report.get("$report_type") == "CollectReport" and report["outcome"] != "passed":
            cells[report["nodeid"]] = _collection_cell(report)
    for nodeid, parts in phases.items():
        if "teardown" in parts or "???" in parts:
            cells[nodeid] = _cell(parts)
    return cells


def _cell(parts: Mapping[str, Mapping[str, Any]]) -> Cell:
    """Return the cell of a test from the reports of its phases."""
    seconds = sum(float(report.get("duration") or 0) for report in parts.values())
    failed = [report for report in parts.values() if report["outcome"] == "failed"]
    if failed:
        return _failed(failed[0], seconds)
    skipped = [report for report in parts.values() if report["outcome"] == "skipped"]
    said = _said(parts.values())
    known = said.get("ledger")
    if not skipped:
        return Cell(_state(said.get("base") or said.get("verdict")), known=known, seconds=seconds, reason=_why(said))
    if "wasxfail" in skipped[0]:
        reason = skipped[0]["wasxfail"] or _first_line(skipped[0])
        # After a variant held for a comparison, only the reason tells whether the ledger expects this as well.
        if known is not None and ("base" not in said or reason.startswith(f"{known}: ")):
            return Cell(State.BROKEN, _short(reason.removeprefix(f"{known}: ")), known, seconds)
        return Cell(State.SAME, _short(f"expected failure: {reason}"), None, seconds)
    if "base" in said:
        known = None  # a variant held for a comparison before; that the test was left then is its own
    state = State.SKIPPED if known is None else State.REMOVED
    return Cell(state, _skip_reason(skipped[0]).removeprefix(f"{known}: "), known, seconds)


def _failed(report: Mapping[str, Any], seconds: float) -> Cell:
    said = _said([report])
    verdict = said.get("verdict")
    details, raises = _details(report), said.get("raises", "")
    if report["when"] == "???":  # what xdist says of a test whose worker died
        return Cell(State.CRASHED, _first_line(report), None, seconds, details)
    if report["when"] == "call" and verdict in _COMPARED and verdict != "same":
        return Cell(State(verdict), _short(said.get("says") or _first_line(report)), None, seconds, details)
    before = "" if report["when"] == "call" else f"at {report['when']}: "
    return Cell(State.BROKEN, _short(before + _first_line(report)), None, seconds, details, raises)


def _collection_cell(report: Mapping[str, Any]) -> Cell:
    if report["outcome"] == "skipped":
        return Cell(State.SKIPPED, _skip_reason(report))
    return Cell(State.BROKEN, _short(f"cannot be collected: {_first_line(report)}"), details=_details(report))


def _said(reports: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return what the plugin put into a test's reports, the last word of each kind."""
    said = {
        str(name).removeprefix("hfmodels_"): str(value)
        for report in reports
        for name, value in report.get("user_properties") or ()
        if str(name).startswith("hfmodels_")
    }
    # The cell says its verdict itself.
    return said | {"says": said["says"].removeprefix(f"{said.get('verdict')}: ")} if "says" in said else said


def _state(verdict: str | None) -> State:
    return State(verdict) if verdict in _COMPARED else State.SAME


def _why(said: Mapping[str, str]) -> str:
    return _short(said.get("says", "")) if said.get("ledger") else ""


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


def _culprit(events: Iterable[Mapping[str, Any]], reports: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the test that had begun last and not ended when the process died."""
    over = {report["nodeid"] for report in reports if report.get("when") in ("teardown", "???")}
    began = [str(event["began"]) for event in events if "began" in event]
    return next((nodeid for nodeid in reversed(began) if nodeid not in over), None)


def _never_ran(events: Iterable[Mapping[str, Any]], cells: Mapping[str, Cell], problem: str | None) -> dict[str, Cell]:
    reason = f"did not run: {problem}" if problem else "did not run: pytest stopped before it"
    return {nodeid: Cell(State.NOT_RUN, reason) for nodeid in _collected(events) if nodeid not in cells}


def _collected(events: Iterable[Mapping[str, Any]]) -> list[str]:
    found = [nodeid for event in events for nodeid in event.get("collected", ())]
    return list(dict.fromkeys(found))


# -- text ------------------------------------------------------------------------------------------------------------


def _first_line(report: Mapping[str, Any]) -> str:
    """Return what went wrong in a line."""
    longrepr = report.get("longrepr")
    if isinstance(longrepr, dict):
        crash = longrepr.get("reprcrash") or {}
        message = str(crash.get("message") or "")
        return next((line.strip() for line in message.splitlines() if line.strip()), "") or _text(longrepr)
    lines = [line for line in _text(longrepr).splitlines() if line.strip()]
    errors = [line[1:].strip() for line in lines if re.match(r"E\s", line)]
    return errors[-1] if errors else (lines[0].strip() if lines else "it failed and did not say why")


def _skip_reason(report: Mapping[str, Any]) -> str:
    longrepr = report.get("longrepr")
    text = str(longrepr[-1]) if isinstance(longrepr, list | tuple) and longrepr else _text(longrepr)
    return _short(text.removeprefix("Skipped: "))


def _details(report: Mapping[str, Any]) -> str:
    text = _text(report.get("longrepr"))
    sections = [f"-- {title} --\n{content}" for title, content in report.get("sections", ()) if title == "hfmodels"]
    text = "\n".join([text, *sections]).strip()
    return text if len(text) <= _DETAILS else f"…{text[-_DETAILS:]}"


def _text(longrepr: object) -> str:
    """Return a failure as pytest shows it, from its serialised form."""
    if longrepr is None:
        return ""
    if not isinstance(longrepr, dict):
        return str(longrepr)
    entries = (longrepr.get("reprtraceback") or {}).get("reprentries") or ()
    return "\n\n".join("\n".join((entry.get("data") or {}).get("lines") or ()) for entry in entries)


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


# -- rows from a file, which may come from elsewhere --------------------------------------------------------

_ROW: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "versions": (dict,),
    "moved": (list,),
    "cells": (dict,),
    "problem": (str, NoneType),
    "note": (str,),
    "seconds": (int, float),
    "exit_code": (int, NoneType),
    "log": (str,),
    "environment": (str,),
}
_CELL: dict[str, tuple[type, ...]] = {
    "state": (str,),
    "reason": (str,),
    "known": (str, NoneType),
    "seconds": (int, float),
    "details": (str,),
    "raises": (str,),
}


def _fields(what: str, data: object, kinds: Mapping[str, tuple[type, ...]]) -> dict[str, Any]:
    """Return a table that has exactly these fields, each with one of its types."""
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        odd = sorted(map(str, data.keys() ^ kinds.keys())) if isinstance(data, dict) else ["everything"]
        raise ValueError(f"{what} has missing or unknown fields: {', '.join(odd)}")
    for name, value in data.items():
        if type(value) not in kinds[name]:  # bool is not accepted as a number
            raise ValueError(f"the field {name} of {what} has the wrong type")
    if not math.isfinite(_number(data["seconds"])) or data["seconds"] < 0:
        raise ValueError(f"the field seconds of {what} is negative or not finite")
    return data


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _cell_from(data: object) -> Cell:
    values = _fields("a test's cell", data, _CELL)
    return Cell(**{**values, "state": State(values["state"])})


def _moved_from(entry: object) -> tuple[str, str, str | None]:
    if not isinstance(entry, list) or len(entry) != 3:
        raise ValueError("an entry of the field moved is not a name with two versions")
    name, before, after = entry
    return (
        _text_of("a moved package", name),
        _text_of("a moved package", before),
        after and _text_of("a moved package", after),
    )


def _text_of(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is not a string")
    return value


def _cell_data(cell: Cell) -> dict[str, Any]:
    return {
        "state": str(cell.state),
        "reason": cell.reason,
        "known": cell.known,
        "seconds": round(cell.seconds, 3),
        "details": cell.details,
        "raises": cell.raises,
    }
