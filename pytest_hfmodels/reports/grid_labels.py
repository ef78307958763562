"""The names of states and rows, the same in every report of a grid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_hfmodels.versions.results import INTERRUPTED, Cell, RowResult, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_hfmodels.versions.grid import Grid, Line, Note

KNOWN = "†"
# A sign and a letter each: no state depends on colour or on a font.
SIGNS = {
    State.SAME: ("✓", "s"),
    State.DRIFT: ("≈", "D"),
    State.NEAR_TIE: ("~", "N"),
    State.CHANGED: ("✗", "C"),
    State.MISSING: ("?", "M"),
    State.BROKEN: ("!", "B"),
    State.REMOVED: ("−", "R"),
    State.SKIPPED: ("○", "k"),
    State.NOT_RUN: ("·", "n"),
    State.BUILD_FAILED: ("/", "F"),
    State.CRASHED: ("*", "X"),
    State.TIMEOUT: ("%", "T"),
}


def word(cell: Cell) -> str:
    """Return `✗ changed†`."""
    return f"{SIGNS[cell.state][0]} {cell.state}{KNOWN if cell.known else ''}"


def code(cell: Cell) -> str:
    """Return `✗C†`."""
    return f"{''.join(SIGNS[cell.state])}{KNOWN if cell.known else ''}"


def states(grid: Grid) -> list[State]:
    """Return the states that are in a grid."""
    found = {cell.state for cells in grid.cells.values() for cell in cells}
    return [state for state in State if state in found]


def name(line: Line) -> str:
    """Return what a line is about, below the name of its file: `test_beam[torch]`, `22 tests [tensorflow]`."""
    if len(line.tests) == 1:
        return line.tests[0].partition("::")[2] or "(the file)"
    engines = {re.split(r"[-\]]", test.partition("[")[2])[0] for test in line.tests} - {""}
    return f"{len(line.tests)} tests{f' [{engines.pop()}]' if len(engines) == 1 else ''}"


def all_alike(lines: Sequence[Line]) -> str:
    """Return `22 tests, all same` for a file whose tests do one thing everywhere; otherwise nothing."""
    states = {cell.state for line in lines for cell in line.cells}
    if len(lines) != 1 or not lines[0].folded or len(states) != 1:
        return ""
    count = len(lines[0].tests)
    return f"{_count(count, 'test')}, {'all ' if count > 1 else ''}{states.pop()}"


def all_states(lines: Sequence[Line]) -> str:
    """Return `22 tests: ✓ same, ○ skipped`."""
    words = dict.fromkeys(word(cell) for line in lines for cell in line.cells)
    return f"{_count(sum(len(line.tests) for line in lines), 'test')}: {', '.join(words)}"


def headline(grid: Grid) -> str:
    """Return the outcome in a line."""
    known = sum(cell.known is not None for cells in grid.cells.values() for cell in cells)
    unrun = sum(row.problem == INTERRUPTED for row in grid.rows)
    incomplete = sum(row.problem is not None for row in grid.rows) - unrun
    seen = f"{_count(grid.unexplained, 'cell')} to look at" if grid.unexplained else "nothing unexplained"
    parts = {
        f"{_count(len(grid.tests), 'test')} in {_count(len(grid.rows), 'row')}": True,
        seen: grid.tests,
        f"{known} explained by the ledger ({KNOWN})": known,
        f"{_count(incomplete, 'row')} incomplete": incomplete,
        f"{_count(unrun, 'row')} did not run": unrun,
    }
    return "; ".join(part for part, shown in parts.items() if shown)


def moves(row: RowResult) -> str:
    """Return what else is different in a row: `tokenizers 0.22.2 -> 0.13.3; without requests`."""
    moved = ", ".join(f"{entry.name} {entry.before} -> {entry.after}" for entry in row.moved if entry.after is not None)
    left_out = ", ".join(entry.name for entry in row.moved if entry.after is None)
    return "; ".join(part for part in (moved, left_out and f"without {left_out}") if part)


def moved_lines(grid: Grid) -> Iterator[tuple[str, str]]:
    """Yield what else is different, after the rows that it is in."""
    found: dict[str, list[str]] = {}
    for row in grid.rows:
        if what := moves(row):
            found.setdefault(what, []).append(row.name)
    for what, rows in found.items():
        yield rows[0] if len(rows) == 1 else ", ".join(grid.labels[row] for row in rows), what


def note_lines(grid: Grid, quote: Callable[[str], str] = str) -> Iterator[tuple[Note, str, str, str]]:
    """Yield every distinct reason with its rows, its tests (`quote`d) and its words."""
    for note in grid.notes:
        rows = (
            "every row" if len(note.rows) == len(grid.rows) > 1 else _listed([grid.labels[row] for row in note.rows], 6)
        )
        known = f" ({KNOWN} {note.known})" if note.known else ""
        yield note, rows, named_tests(grid, note.tests, quote, most=3), f"{note.reason or note.state}{known}"


def problems(grid: Grid) -> Iterator[tuple[str, str]]:
    """Yield the rows with a problem that is not the reason of any of their cells, and that problem."""
    reasons = {note.reason for note in grid.notes}
    for row in grid.rows:
        if row.problem not in (None, INTERRUPTED, *reasons):
            yield row.name, f"{'is incomplete' if row.built else 'could not be built'}: {row.problem}"


def named_tests(grid: Grid, tests: Sequence[str], quote: Callable[[str], str] = str, *, most: int = 1000) -> str:
    """Return `test_a, test_b, test_c and 4 more`."""
    if len(tests) == len(grid.tests) > 1:
        return "every test"
    return _listed([quote(grid.short_names[test]) for test in tests], most)


def _listed(names: Sequence[str], most: int) -> str:
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
