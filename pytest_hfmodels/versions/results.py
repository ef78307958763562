"""The results of a row: a cell for each test, from what its pytest left."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.foundation.verdicts import Verdict, severity
from pytest_hfmodels.results.model import TestResult, decode
from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.results.remedies import remedy, since
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.versions.running import PytestRun

INTERRUPTED = "the run was interrupted before this row was done"
NO_PART = "no part of this row was given: its job failed or wrote no part"
UNRUN = (INTERRUPTED, NO_PART)  # problems of rows of which nothing is known
_REASON = 300  # characters of a reason
_SHOWN = 20  # tests of a row
_TAIL = 12  # lines of a log that say why pytest gave up
_LARGEST = 64_000_000  # bytes of a saved file; thousands of tests take a few million
_EVENTS = ("all", "collected", "uncollected", "began", "result", "opened", "finished")  # of `row_plugin`
GAVE_UP = (3, 4, 5)  # pytest's exit codes for an internal error, for wrong usage, and if no test was collected

T = TypeVar("T")


class State(StrEnum):
    """What a test did in a row."""

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
        state: what it did.
        reason: why, in a line; empty for `same`.
        known: the ledger entry that explains it.
        seconds: how long the test took, with its fixtures.
        details: the failure as pytest printed it.
        raises: the exception of a failed test, and the phase: `TypeError in call`; empty if unknown.
        cause: why its output differs, one of `CAUSES`; empty if unknown.
        why: the cause in a sentence.
        rules: names in `reference.Rules` of the rules that explain the difference.
        known_changes: names of the known changes of transformers that fit; see `reference.known_changes`.
        since: the release since which it differs, in words; empty if unknown.
        command: the command that finds the release; empty if no release can be the reason.
        remedy: what brings the recorded output back; empty if nothing does.
    """

    state: State
    reason: str = ""
    known: str | None = None
    seconds: float = 0.0
    details: str = ""
    raises: str = ""
    cause: str = ""
    why: str = ""
    rules: tuple[str, ...] = ()
    known_changes: tuple[str, ...] = ()
    since: str = ""
    command: str = ""
    remedy: str = ""

    @property
    def explained(self) -> bool:
        """Whether it needs no look."""
        return self.known is not None or self.state in (State.SAME, State.SKIPPED)


@dataclass(frozen=True)
class RowResult:
    """The result of a row.

    Args:
        name: the row's.
        versions: what was installed, by canonical name.
        moved: packages that changed version without being requested.
        cells: by node id, in the order in which they were collected.
        problem: why it is incomplete (not built, crashed, out of time, nothing collected) or failed without a failing
            test; None if it is neither.
        note: more for the reader.
        seconds: how long its pytest took.
        exit_code: of its pytest; None if none ran.
        log: the file with the output of its pytest.
        complete: whether its pytest ran all tests to the end, even if it then ended badly.
        shard: the share of the tests that ran, such as `2/3`; empty for all.
        collected: the node ids of all shards, in the order of collection; empty without shards.
        pending: what accepting its outputs would write.
        differing: the tests to decide about, for reports that show what was and what is; see `differing_of`.
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
    complete: bool = True
    shard: str = ""
    collected: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()
    differing: tuple[TestResult, ...] = ()

    @property
    def built(self) -> bool:
        """Whether there was an environment to run in."""
        return self.exit_code is not None

    def cell(self, test: str) -> Cell:
        """Return the cell of a test; that of a file, class or folder holds for the tests in it."""
        for nodeid in (test, *ancestors(test)):
            if nodeid in self.cells:
                return self.cells[nodeid]
        if self.problem is not None and self.problem in UNRUN:
            return Cell(State.NOT_RUN, self.problem)
        if not self.built:
            return Cell(State.BUILD_FAILED, self.problem or "")
        return Cell(State.NOT_RUN, f"did not run: {self.problem}" if self.problem else "not collected in this row")


def ancestors(test: str) -> Iterator[str]:
    """Yield the node ids of the class, file and folders that a test is in."""
    path, _, names = test.partition("[")[0].partition("::")  # a parameter's id may hold anything
    while "::" in names:
        names = names.rpartition("::")[0]
        yield f"{path}::{names}"
    if names:
        yield path
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def read_json(file: Path, kind: type[T]) -> T:
    """Return what `encode` wrote to a file.

    Raises:
        OSError: it cannot be read, is not a regular file, or is too large.
        ReportError: it holds something else.
    """
    return decode(read_bytes(file, largest=_LARGEST), kind, "The grid")


def read_run(name: str, run: PytestRun, **more: Any) -> RowResult:
    """Return the result of a row, however its pytest ended.

    Args:
        name: the row's.
        run: what its pytest left.
        more: more fields of `RowResult` (versions, moved, note).
    """
    said = _events(run.events)
    results = {found["id"]: decode(json.dumps(found), TestResult) for found in said["result"]}
    cells = {found["id"]: _uncollected(found) for found in said["uncollected"]}
    cells |= cells_of(results.values())
    finished = bool(said["finished"]) and not run.timed_out
    complete = finished and run.exit_code not in GAVE_UP and (run.exit_code != 2 or bool(cells))
    failed = bool(said["uncollected"]) or any(result.failed for result in results.values())
    problem = _problem(run, finished=finished, complete=complete, failed=failed)
    if not finished:
        cells |= _blamed([nodeid for nodeid in said["began"] if nodeid not in results], run, problem)
    not_run = Cell(State.NOT_RUN, f"did not run: {problem or 'pytest stopped before it'}")
    collected = dict.fromkeys(chain.from_iterable(said["collected"]), not_run)
    about = {"seconds": run.seconds, "exit_code": run.exit_code, "log": str(run.log), **more}
    about |= {"pending": pending_of(results.values()), "differing": differing_of(results.values())}
    about |= {"collected": tuple(chain.from_iterable(said["all"]))}
    return RowResult(name, cells=collected | cells, problem=problem, complete=complete, **about)


def cells_of(results: Iterable[TestResult]) -> dict[str, Cell]:
    """Return a cell a test, by node id."""
    return {result.id: _cell(result) for result in results}


def pending_of(results: Iterable[TestResult]) -> tuple[Pending, ...]:
    """Return what accepting the outputs of tests would write."""
    found = (one.pending for result in results for one in result.comparisons if one.pending is not None)
    return tuple(sorted(found, key=lambda pending: pending.snapshot))


def differing_of(results: Iterable[TestResult]) -> tuple[TestResult, ...]:
    """Return the tests to decide about, the gravest first, as many as a report shows.

    What a cell or `pending` holds as well is left out, and so are times and the numbers of each token.
    """
    found = [
        result
        for result in results
        if not _cell(result).explained and any(compared.waits for compared in result.comparisons)
    ]
    found.sort(key=lambda result: (severity(result.verdict or Verdict.SAME), *result.place))
    return tuple(map(_bare, found[:_SHOWN]))


def _bare(result: TestResult) -> TestResult:
    comparisons = tuple(replace(compared, pending=None, course=None) for compared in result.comparisons)
    return replace(result, details="", comparisons=comparisons, seconds=0.0, durations={})


def opened_of(run: PytestRun) -> list[tuple[str, int, int]]:
    """Return the files outside the project that a row's tests opened, each with its time and size."""
    found = {tuple(one) for files in _events(run.events)["opened"] for one in files}
    return sorted((str(name), int(changed), int(size)) for name, changed, size in found)


def _blamed(unfinished: Sequence[str], run: PytestRun, problem: str | None) -> dict[str, Cell]:
    """Return the cell of the test that began last, when the process died or its time was over."""
    state = State.TIMEOUT if run.timed_out else State.CRASHED
    return {nodeid: Cell(state, problem or "", details=_tail(run.log)) for nodeid in unfinished[-1:]}


def _events(file: Path) -> dict[str, list[Any]]:
    """Return what `row_plugin` wrote, by name; a process that died may have left half a line."""
    found: dict[str, list[Any]] = {name: [] for name in _EVENTS}
    for line in _text(file).splitlines():
        with suppress(ValueError, AttributeError):
            for name, value in json.loads(line).items():
                found.setdefault(name, []).append(value)
    return found


def _cell(result: TestResult) -> Cell:
    state, reason = _state(result)
    about: dict[str, Any] = {"seconds": result.seconds, **_cause(result)}
    if result.failed:
        about["details"] = result.details
        if state is State.BROKEN and result.raises:
            about["raises"] = f"{result.raises} in {result.failed_in}"
    elif result.outcome in ("skipped", "xfailed"):
        about["known"] = result.entry
    else:
        about["known"] = next((found.entry for found in result.comparisons if found.entry is not None), None)
    return Cell(state, _short(reason), **about)


def _state(result: TestResult) -> tuple[State, str]:
    """Return the state of a test, and its reason."""
    if result.failed:
        return _failure(result)
    headline = result.headline.removeprefix(f"{result.entry}: ")
    if result.outcome == "skipped":
        return State.SKIPPED if result.entry is None else State.REMOVED, headline
    if result.outcome == "xfailed":
        expected = State.SAME, f"expected failure: {headline}"
        return expected if result.entry is None else (State.BROKEN, headline)
    has_variant = any(found.entry is not None for found in result.comparisons)
    return State(result.base or result.verdict or Verdict.SAME), _told(result) if has_variant else ""


def _failure(result: TestResult) -> tuple[State, str]:
    if result.failed_in is None:
        return State.CRASHED, result.headline
    if result.verdict not in (None, Verdict.BROKEN):
        return State(result.verdict), _told(result)
    return State.BROKEN, f"{'' if result.failed_in == 'call' else f'at {result.failed_in}: '}{result.headline}"


def _cause(result: TestResult) -> dict[str, Any]:
    """Return what is known of why an output differs."""
    found = result.gravest
    if found is None or found.explanation is None or found.explanation.cause is None:
        return {}
    explanation = found.explanation
    return {
        "cause": explanation.cause,
        "why": _short(explanation.sentence),
        "rules": explanation.rules,
        "known_changes": explanation.known,
        "since": since(found),
        "command": next(iter(explanation.suggests), ""),
        "remedy": _short(remedy(found)),
    }


def _told(result: TestResult) -> str:
    found = result.gravest
    if found is None or found.verdict is Verdict.SAME:
        return ""
    return visible_line(f"{found.reason} ({found.snapshot})")


def _uncollected(found: Mapping[str, Any]) -> Cell:
    if found["skipped"]:
        return Cell(State.SKIPPED, _short(found["reason"]))
    return Cell(State.BROKEN, _short(f"cannot be collected: {found['reason']}"), details=found["details"])


# -- rows that are not whole -----------------------------------------------------------------------------------------


def _problem(run: PytestRun, *, finished: bool, complete: bool, failed: bool) -> str | None:
    if run.timed_out:
        return f"timed out after {run.timeout:g} s"
    if not finished:
        last = _last_words(run.log, errors_only=True)
        return f"crashed with {exit_name(run.exit_code)}{f': {last}' if last else ''}"
    if run.exit_code == 5:
        return "no test was collected"
    if not complete:
        return f"pytest gave up (exit code {run.exit_code}): {_last_words(run.log)}"
    if run.exit_code not in (0, 2) and not failed:  # pytest that ends early with 2 leaves tests that did not run
        return f"pytest ended with {exit_name(run.exit_code)} though no test failed"
    return None


def exit_name(code: int) -> str:
    """Return an exit code in words; a negative one is of a signal, whose name is returned."""
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
    """Return the last line of a log that names an error, or else the last that says something."""
    lines = [line for line in _tail(log).splitlines() if not re.match(r"[=\-_ ]*$|=+ .* =+$", line)]
    errors = [
        line for line in lines if re.match(r"(ERROR|INTERNALERROR>|Fatal Python error|\w+(Error|Exception)):?", line)
    ]
    return _short((errors or ([] if errors_only else lines) or [""])[-1])


def _tail(log: Path) -> str:
    return "\n".join(_text(log).splitlines()[-_TAIL:])


def _text(file: Path) -> str:
    """Return the text of a file; nothing if it cannot be read."""
    with suppress(OSError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""
