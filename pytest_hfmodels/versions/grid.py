"""The grid: tests down, rows across. Pure: from what the rows said to what the reports show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from pytest_hfmodels.versions.results import Cell, State
from pytest_hfmodels.versions.rows import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_hfmodels.versions.results import RowResult

FORMAT = 1
UNRUN = "the run was interrupted before this row was done"
# What says nothing of how the library behaves, so that no change is told from it.
_SILENT = (State.ABSENT, State.UNBUILT, State.SKIPPED)


@dataclass(frozen=True)
class Note:
    """A reason, and where it holds.

    Args:
        state: of the cells.
        reason: why, in a line.
        known: the ledger entry that explains them.
        rows: names of the rows, in their order.
        tests: node ids, in their order.
    """

    state: State
    reason: str
    known: str | None
    rows: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A line of the grid: a test, or several of a file that nobody has to look at one by one.

    Args:
        tests: node ids; several do the same in every row.
        cells: by row.
        folded: whether names of tests do not matter.
    """

    tests: tuple[str, ...]
    cells: tuple[Cell, ...]
    folded: bool = False

    @property
    def state(self) -> State | None:
        """The state of all cells; None where there are several."""
        states = {cell.state for cell in self.cells}
        return states.pop() if len(states) == 1 else None


@dataclass(frozen=True)
class Grid:
    """What every test did in every row.

    Args:
        rows: the results, in the order in which the rows were asked for.
        arguments: what pytest was given.
        interrupted: whether some rows did not run because a person stopped it.
    """

    rows: tuple[RowResult, ...]
    arguments: tuple[str, ...] = ()
    interrupted: bool = False

    @cached_property
    def tests(self) -> tuple[str, ...]:
        """The node ids: tests, and files that could not be collected in any row."""
        files: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for test in row.cells:
                files.setdefault(test.partition("::")[0], {})[test] = None
        order = [test for tests in files.values() for test in tests]
        collectors = {ancestor for test in order for ancestor in _ancestors(test)}
        return tuple(test for test in order if test not in collectors)

    def cell(self, test: str, row: RowResult) -> Cell:
        """Return what a test did in a row; what a row says of a file holds for the tests in it."""
        for nodeid in (test, *_ancestors(test)):
            if nodeid in row.cells:
                return row.cells[nodeid]
        if row.problem == UNRUN:
            return Cell(State.ABSENT, UNRUN)
        if not row.built:
            return Cell(State.UNBUILT, row.problem or "")
        return Cell(State.ABSENT, f"did not run: {row.problem}" if row.problem else "not collected in this row")

    def lines(self, *, fold: bool) -> dict[str, tuple[Line, ...]]:
        """Return the lines by file.

        Args:
            fold: whether tests that are the same wherever they are not skipped share a line, at the end of their file.
        """
        listed: dict[str, list[Line]] = {}
        quiet: dict[str, dict[tuple[State, ...], list[Line]]] = {}
        for test in self.tests:
            file = test.partition("::")[0]
            line = Line((test,), tuple(self.cell(test, row) for row in self.rows))
            listed.setdefault(file, [])
            if fold and all(map(_is_quiet, line.cells)):
                alike = tuple(cell.state for cell in line.cells)
                quiet.setdefault(file, {}).setdefault(alike, []).append(line)
            else:
                listed[file].append(line)
        return {
            file: (*lines, *(_folded(several) for several in quiet.get(file, {}).values()))
            for file, lines in listed.items()
        }

    def since(self, test: str) -> str | None:
        """Return the first row where a test does something else than in the row before it, or None.

        Rows in which it was not built, collected or run say nothing, and are passed over.
        """
        before: tuple[State, str | None] | None = None
        for row in self.rows:
            cell = self.cell(test, row)
            if cell.state in _SILENT:
                continue
            now = (cell.state, cell.known)
            if before is not None and now != before:
                return row.name
            before = now
        return None

    @cached_property
    def changes(self) -> dict[str, tuple[str, ...]]:
        """The tests that change, by the row in which they first do."""
        found: dict[str, list[str]] = {row.name: [] for row in self.rows}
        for test in self.tests:
            row = self.since(test)
            if row is not None:
                found[row].append(test)
        return {row: tuple(tests) for row, tests in found.items() if tests}

    @cached_property
    def notes(self) -> tuple[Note, ...]:
        """Every distinct reason, in the order of the tests; what is plainly the same needs none."""
        found: dict[tuple[State, str, str | None], tuple[dict[str, None], dict[str, None]]] = {}
        for test in self.tests:
            for row in self.rows:
                cell = self.cell(test, row)
                if cell.state is not State.SAME or cell.known is not None:
                    rows, tests = found.setdefault((cell.state, cell.reason, cell.known), ({}, {}))
                    rows[row.name], tests[test] = None, None
        order = [row.name for row in self.rows]
        return tuple(
            Note(state, reason, known, tuple(sorted(rows, key=order.index)), tuple(tests))
            for (state, reason, known), (rows, tests) in found.items()
        )

    @property
    def unexplained(self) -> int:
        """How many cells somebody has to look at."""
        return sum(not self.cell(test, row).explained for test in self.tests for row in self.rows)

    @property
    def exit_code(self) -> int:
        """130 interrupted, 2 no row could be run, 1 something is unexplained, 0 otherwise."""
        if self.interrupted:
            return 130
        if not any(row.built for row in self.rows):
            return 2
        return 1 if self.unexplained or any(row.problem for row in self.rows) else 0

    def to_data(self) -> dict[str, Any]:
        """Return it as plain data for JSON. A changed meaning gets another `format`."""
        return {
            "format": FORMAT,
            "arguments": list(self.arguments),
            "interrupted": self.interrupted,
            "exit_code": self.exit_code,
            "rows": [_row_data(row) for row in self.rows],
            "tests": [self._test_data(test) for test in self.tests],
        }

    def _test_data(self, test: str) -> dict[str, Any]:
        cells = {row.name: self.cell(test, row) for row in self.rows}
        return {
            "test": test,
            "since": self.since(test),
            "cells": {
                name: {
                    "state": str(cell.state),
                    "reason": cell.reason,
                    "known": cell.known,
                    "seconds": round(cell.seconds, 3),
                    "details": cell.details,
                }
                for name, cell in cells.items()
            },
        }


def _row_data(row: RowResult) -> dict[str, Any]:
    data = row.to_data()
    return {key: data[key] for key in ("name", "versions", "moved", "problem", "note", "seconds", "exit_code")}


def _is_quiet(cell: Cell) -> bool:
    """Tell whether a cell is nothing to look at, beyond what its whole row tells."""
    if cell.reason == UNRUN:
        return True
    return cell.known is None and cell.state in (State.SAME, State.SKIPPED, State.UNBUILT)


def _folded(lines: Sequence[Line]) -> Line:
    return Line(tuple(test for line in lines for test in line.tests), lines[0].cells, folded=True)


def _ancestors(test: str) -> Iterator[str]:
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


def labels(rows: Sequence[RowResult]) -> dict[str, str]:
    """Return short names for rows: what they have in common, `transformers==`, is left out.

    Where they are of one package, the current environment tells its release of it: `current (4.57.6)`.
    """
    packages = {name.partition("==")[0] for row in rows if "==" in (name := row.name)}
    only = f"{packages.pop()}==" if len(packages) == 1 else ""
    package = canonicalize_name(only.partition("=")[0].partition("[")[0])
    named = {row.name: row.name.removeprefix(only) or row.name for row in rows}
    held = {row.name: row.versions[package] for row in rows if row.name == CURRENT and package in row.versions}
    return named | {name: f"{name} ({version})" for name, version in held.items()}


def short_names(tests: Iterable[str]) -> Mapping[str, str]:
    """Return node ids without their file, where that tells them apart."""
    tests = list(tests)
    bare = [test.partition("::")[2] for test in tests]
    return {test: short if short and bare.count(short) == 1 else test for test, short in zip(tests, bare, strict=True)}
