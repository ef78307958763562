"""The grid, tests down and rows across: what the reports show of the results of all rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from packaging.utils import canonicalize_name

from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.results.remedies import shared_sentence
from pytest_hfmodels.versions.results import UNRUN, Cell, RowResult, State, ancestors
from pytest_hfmodels.versions.rows import CURRENT

# These say nothing about how the library behaves.
_SILENT = (State.NOT_RUN, State.BUILD_FAILED, State.SKIPPED)
# Their reasons name the test's own snapshot, so tests are grouped by cause.
_BY_CAUSE = (State.DRIFT, State.NEAR_TIE, State.CHANGED, State.MISSING)


@dataclass(frozen=True)
class Note:
    """A reason or a cause, and the rows and tests that have it."""

    state: State
    known: str | None  # the ledger entry that explains it
    cells: tuple[Cell, ...]  # with distinct reasons
    rows: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def reason(self) -> str:
        """The reason of its first cell."""
        return self.cells[0].reason


@dataclass(frozen=True)
class Line:
    """A line of the grid: a test, or several of a file that need no look and do the same in every row."""

    tests: tuple[str, ...]
    cells: tuple[Cell, ...]  # by row
    folded: bool = False


@dataclass(frozen=True)
class Grid:
    """The cells of all tests in all rows."""

    rows: tuple[RowResult, ...]
    arguments: tuple[str, ...] = ()  # for pytest
    interrupted: bool = False  # by a person, so that some rows did not run
    command: str = ""  # runs all rows on one machine
    planned: tuple[str, ...] = ()  # the names of all rows, if some ran elsewhere
    commit: str = ""  # of the project, if known
    run: str = ""  # the CI's number of its run; empty elsewhere

    @cached_property
    def cells(self) -> dict[str, tuple[Cell, ...]]:
        """A cell a row for each test, and for each file that no row could collect; tests of one file together."""
        files: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for test in row.cells:
                files.setdefault(test.partition("::")[0], {})[test] = None
        tests = [test for several in files.values() for test in several]
        collectors = {ancestor for test in tests for ancestor in ancestors(test)}
        return {test: tuple(row.cell(test) for row in self.rows) for test in tests if test not in collectors}

    @cached_property
    def tests(self) -> tuple[str, ...]:
        """The node ids."""
        return tuple(self.cells)

    def lines(self, *, fold: bool) -> dict[str, tuple[Line, ...]]:
        """Return the lines by file. If `fold`, tests that need no look share lines at the end of their file."""
        files: dict[str, dict[object, Line]] = {}
        for test, cells in self.cells.items():
            folded = fold and all(map(_is_quiet, cells))
            lines = files.setdefault(test.partition("::")[0], {})
            key = tuple(cell.state for cell in cells) if folded else test
            tests = (*lines[key].tests, test) if key in lines else (test,)
            lines[key] = Line(tests, cells, folded)
        return {file: tuple(sorted(lines.values(), key=lambda line: line.folded)) for file, lines in files.items()}

    def since(self, test: str) -> str | None:
        """Return the first row where a test does something new, or None.

        Rows where it did not run do not count, nor does a current environment that differs: its release may be any.
        """
        before: tuple[State, str | None] | None = None
        for row, cell in zip(self.rows, self.cells[test], strict=True):
            if cell.state not in _SILENT and (row.name != CURRENT or cell.state is State.SAME):
                now = (cell.state, cell.known)
                if before not in (None, now):
                    return row.name
                before = now
        return None

    @cached_property
    def changes(self) -> dict[str, tuple[str, ...]]:
        """The tests that change, by the row in which they first do."""
        changes: dict[str, list[str]] = {row.name: [] for row in self.rows}
        for test, row in self.firsts.items():
            changes[row].append(test)
        return {row: tuple(tests) for row, tests in changes.items() if tests}

    @cached_property
    def firsts(self) -> dict[str, str]:
        """The row in which a test first changes, for each test that changes."""
        return {test: row for test in self.tests if (row := self.since(test)) is not None}

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Every distinct reason, in the order of the tests; outputs that differ for one cause share it.

        A cell that is `same` without the ledger has none.
        """
        found: dict[object, tuple[dict[str, Cell], set[str], dict[str, None]]] = {}
        for test, cells in self.cells.items():
            for row, cell in zip(self.rows, cells, strict=True):
                if (about := note_key(cell)) is not None:
                    reasons, rows, tests = found.setdefault(about, ({}, set(), {}))
                    reasons.setdefault(cell.reason, cell)
                    rows.add(row.name)
                    tests[test] = None
        order = [row.name for row in self.rows]
        notes = []
        for reasons, rows, tests in found.values():
            first, *_ = cells = tuple(sorted(reasons.values(), key=lambda cell: severity(cell.state)))
            notes.append(Note(first.state, first.known, cells, tuple(sorted(rows, key=order.index)), tuple(tests)))
        return tuple(notes)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Short names of the rows, without `transformers==` if all have it in common.

        Beside rows of one package, the current environment shows its release of it: `current (4.57.6)`.
        """
        packages = {row.name.partition("==")[0] for row in self.rows if "==" in row.name}
        only = packages.pop() if len(packages) == 1 else ""
        named = {row.name: row.name.removeprefix(f"{only}==") or row.name for row in self.rows}
        for row in self.rows:
            if row.name == CURRENT and (release := row.versions.get(canonicalize_name(only.partition("[")[0]))):
                named[CURRENT] = f"{CURRENT} ({release})"
        return named

    @cached_property
    def short_names(self) -> dict[str, str]:
        """Node ids without their file, unless two tests would have the same name."""
        bare = {test: test.partition("::")[2] for test in self.tests}
        counts = Counter(bare.values())
        return {test: short if short and counts[short] == 1 else test for test, short in bare.items()}

    @cached_property
    def unexplained(self) -> int:
        """How many cells need a look."""
        return sum(not cell.explained for cells in self.cells.values() for cell in cells)

    @property
    def exit_code(self) -> int:
        """130 interrupted, 2 no row could be run, 1 something is unexplained, 0 otherwise."""
        if self.interrupted:
            return 130
        if not any(row.built for row in self.rows):
            return 2
        return 1 if self.unexplained or any(row.problem for row in self.rows) else 0

    @property
    def decided(self) -> RowResult | None:
        """The row whose changes are accepted: the current environment, or else the last row that ran."""
        ran = [row for row in self.rows if row.built]
        return next((row for row in ran if row.name == CURRENT), ran[-1] if ran else None)

    def row(self, name: str) -> RowResult | None:
        """Return the row of this name, or None."""
        return next((row for row in self.rows if row.name == name), None)


def note_key(cell: Cell) -> object:
    """Return what cells with the same note have in common; None for a cell without a note."""
    if cell.state is State.SAME and cell.known is None:
        return None
    if cell.state in _BY_CAUSE and cell.known is None:
        return (cell.cause, shared_sentence(cell.why), cell.rules) if cell.cause else cell.state
    return cell.state, cell.known, cell.reason


def _is_quiet(cell: Cell) -> bool:
    """Return whether a cell needs no look beyond what its whole row says."""
    if cell.reason in UNRUN:
        return True
    return cell.known is None and cell.state in (State.SAME, State.SKIPPED, State.BUILD_FAILED)
