"""What every report of a grid shows, in words: the same lines and sections in the terminal, in Markdown and in HTML."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.explanation import in_words
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.reports.summary import Summary, verdicts_in_words
from pytest_hfmodels.results.remedies import shared_sentence
from pytest_hfmodels.versions.grid import note_key
from pytest_hfmodels.versions.results import INTERRUPTED, State
from pytest_hfmodels.versions.rows import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.versions.grid import Grid, Line, Note
    from pytest_hfmodels.versions.results import Cell, RowResult

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
_NAMED = 3  # tests of a reason
_QUIET = (State.SAME, State.SKIPPED, State.NOT_RUN, State.BUILD_FAILED)  # nothing that another package could explain
_LARGE = 20_000  # cells: a page of more shows in one line what needs no look
_FAILURES = 20  # of one reason, whose output a page shows
_ROOM = 6_000_000  # characters of failures on a page


@dataclass(frozen=True)
class Item:
    """A line of a section.

    Args:
        rows: what it is about, in bold.
        tests: names of tests, or none.
        others: `every test`, or how many more there are; empty without.
        text: what there is to say.
        state: of the cells that it is about, or None.
        command: the command that finds the release, or an empty string.
        remedy: what brings the recorded output back, or an empty string.
    """

    rows: str
    tests: tuple[str, ...] = ()
    others: str = ""
    text: str = ""
    state: State | None = None
    command: str = ""
    remedy: str = ""

    @property
    def rest(self) -> str:
        """Everything behind the rows, in plain text."""
        tests = " ".join(filter(None, (", ".join(self.tests), self.others)))
        return ": ".join(filter(None, (tests, self.text)))


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
    found = {cell.state for line in lines for cell in line.cells}
    if len(lines) != 1 or not lines[0].folded or len(found) != 1:
        return ""
    count = len(lines[0].tests)
    return f"{counted(count, 'test')}, {'all ' if count > 1 else ''}{found.pop()}"


def all_states(lines: Sequence[Line]) -> str:
    """Return `22 tests: ✓ same, ○ skipped`."""
    words = dict.fromkeys(word(cell) for line in lines for cell in line.cells)
    return f"{counted(sum(len(line.tests) for line in lines), 'test')}: {', '.join(words)}"


def headline(grid: Grid) -> str:
    """Return the outcome in a line."""
    known = sum(cell.known is not None for cells in grid.cells.values() for cell in cells)
    unrun = sum(row.problem == INTERRUPTED for row in grid.rows)
    incomplete = sum(row.problem is not None for row in grid.rows) - unrun
    seen = f"{counted(grid.unexplained, 'cell')} to look at" if grid.unexplained else "nothing unexplained"
    parts = (
        f"{counted(len(grid.tests), 'test')} in {counted(len(grid.rows), 'row')}",
        grid.tests and seen,
        known and f"{known} explained by the ledger ({KNOWN})",
        incomplete and f"{counted(incomplete, 'row')} incomplete",
        unrun and f"{counted(unrun, 'row')} did not run",
    )
    return "; ".join(str(part) for part in parts if part)


def shown_row(grid: Grid) -> RowResult | None:
    """Return the row that a report begins with: the one whose changes are accepted, or the last that differs.

    If a test broke in the first of these, no other row's texts may stand above that.
    """
    decided = grid.decided
    if decided is not None and (decided.differing or _is_broken(decided)):
        return decided
    return next((row for row in reversed(grid.rows) if row.differing), None)


def _is_broken(row: RowResult) -> bool:
    return any(cell.state is State.BROKEN and not cell.explained for cell in row.cells.values())


def summary_of(row: RowResult) -> Summary:
    """Return the summary of a row, which holds the outputs of some of the tests that differ."""
    states = Counter(str(cell.state) for cell in row.cells.values() if not cell.explained)
    return Summary(row.differing, others=states - Counter(str(test.verdict) for test in row.differing))


def row_headline(row: RowResult) -> str:
    """Return `current: transformers 4.49.0 → 5.23.0: 2 texts changed, 10 drifted; 2 causes`."""
    found = [cell for cell in row.cells.values() if not cell.explained]
    changed = [one for test in row.differing for one in test.comparisons if one.verdict is Verdict.CHANGED]
    stages = [one.differences[0].stage if one.differences else "" for one in changed]
    said = ", ".join(verdicts_in_words(Counter(str(cell.state) for cell in found), stages))
    known = len({(cell.cause, shared_sentence(cell.why)) for cell in found if cell.cause})
    versions = Summary(row.differing).versions
    name = row.name if row.name == CURRENT or not versions else ""
    return ": ".join(filter(None, (name, versions, f"{said}; {counted(known, 'cause')}" if known else said)))


def moves(row: RowResult) -> str:
    """Return what else is different in a row: `tokenizers 0.22.2 -> 0.13.3; without requests`."""
    moved = ", ".join(f"{entry.name} {entry.before} -> {entry.after}" for entry in row.moved if entry.after is not None)
    left_out = ", ".join(entry.name for entry in row.moved if entry.after is None)
    return "; ".join(filter(None, (moved, left_out and f"without {left_out}")))


@dataclass(frozen=True)
class Failure:
    """A failure whose output a page shows."""

    anchor: str
    test: str
    row: str
    cell: Cell


@dataclass(frozen=True)
class Failures:
    """The failures of a grid that a page has room for. Cells of one reason lead to one of them."""

    shown: list[Failure] = field(default_factory=list)
    own: dict[tuple[str, str], str] = field(default_factory=dict)
    of_reason: dict[object, str] = field(default_factory=dict)

    @classmethod
    def of(cls, grid: Grid) -> Failures:
        """Return at least one failure of each reason, as long as there is room."""
        found, counts, room = cls(), Counter[object](), _ROOM
        for test, cells in grid.cells.items():
            for row, cell in zip(grid.rows, cells, strict=True):
                about = note_key(cell)
                if cell.details and counts[about] < _FAILURES and room > 0:
                    anchor = f"failure-{len(found.shown)}"
                    found.shown.append(Failure(anchor, test, row.name, cell))
                    found.own[test, row.name] = anchor
                    found.of_reason.setdefault(about, anchor)
                    counts[about] += 1
                    room -= len(cell.details)
        return found

    def anchor(self, test: str, row: str, cell: Cell) -> str:
        """Return where a cell's failure is shown, or that of another cell with its reason; empty if none is."""
        return self.own.get((test, row)) or self.of_reason.get(note_key(cell), "")


def folds(grid: Grid) -> bool:
    """Return whether a page shows tests with nothing to look at in one line: whether there are too many cells."""
    return len(grid.tests) * len(grid.rows) > _LARGE


def changed_lines(grid: Grid) -> Iterator[Line]:
    """Yield the lines of the tests that need a look, for a summary."""
    for lines in grid.lines(fold=True).values():
        yield from (line for line in lines if not all(cell.explained for cell in line.cells))


def sections(grid: Grid, entries: Sequence[LedgerEntry] = ()) -> dict[str, list[Item]]:
    """Return what is below the grid, by title.

    Args:
        grid: what to tell of.
        entries: of the ledger, which have a section of their own; cells that they explain are no reasons then.
    """
    apart = {entry.name for entry in entries}
    found = {
        "Changes first in": [_item(grid, row, tests, None) for row, tests in grid.changes.items()],
        "Reasons": [*_reasons(grid, apart)],
        "What else moved": [*_moved(grid)],
    }
    return {title: items for title, items in found.items() if items}


def explained(grid: Grid, entries: Sequence[LedgerEntry]) -> Iterator[tuple[LedgerEntry, Item]]:
    """Yield each ledger entry that explains a cell, with the rows and tests where it does."""
    for entry in entries:
        notes = [note for note in grid.notes if note.known == entry.name]
        if notes:
            rows = [row.name for row in grid.rows if any(row.name in note.rows for note in notes)]
            tests = [test for test in grid.tests if any(test in note.tests for note in notes)]
            yield entry, _item(grid, ", ".join(grid.labels[row] for row in rows), tests, None)


def _reasons(grid: Grid, apart: set[str]) -> Iterator[Item]:
    """Yield every distinct reason, then the rows with a problem that is not the reason of any of their cells."""
    for note in grid.notes:
        if note.known not in apart:
            every = len(note.rows) == len(grid.rows) > 1
            known = f" ({KNOWN} {note.known})" if note.known else ""
            rows = "every row" if every else _listed([grid.labels[row] for row in note.rows], 6)
            item = _item(grid, rows, note.tests, _NAMED, text=f"{_reason(note)}{known}", state=note.state)
            remedies = dict.fromkeys(cell.remedy for cell in note.cells if cell.remedy)
            command = next((cell.command for cell in note.cells if cell.command), "")
            yield replace(item, command=command, remedy="; ".join(remedies))
    said = {None, INTERRUPTED, *(cell.reason for note in grid.notes for cell in note.cells)}
    for row in grid.rows:
        if row.problem not in said:
            yield Item(row.name, text=f"{'is incomplete' if row.built else 'could not be built'}: {row.problem}")


def _reason(note: Note) -> str:
    """Return the reason of a note; for several of one cause, the cause."""
    first = note.cells[0]
    if first.cause and first.why:
        since = next((cell.since for cell in note.cells if cell.since), "")
        why = first.why if len(note.cells) == 1 else shared_sentence(first.why)
        return f"{in_words(first.cause)}: {why}{f' ({since})' if since else ''}"
    if len(note.cells) == 1:
        return first.reason or first.state
    if first.cause:
        return in_words(first.cause)
    return f"{len(note.cells)} reasons, the first: {first.reason}"


def _moved(grid: Grid) -> Iterator[Item]:
    """Yield what else is different in rows where it may be the reason for something; then what to know of a row."""
    found: dict[str, list[str]] = {}
    matters = {row for note in grid.notes if note.state not in _QUIET for row in note.rows}
    for row in grid.rows:
        if row.name in matters and (what := moves(row)):
            found.setdefault(what, []).append(row.name)
    for what, rows in found.items():
        yield Item(rows[0] if len(rows) == 1 else ", ".join(grid.labels[row] for row in rows), text=what)
    yield from (Item(row.name, text=row.note) for row in grid.rows if row.note)


def _item(
    grid: Grid, rows: str, tests: Iterable[str], most: int | None, *, text: str = "", state: State | None = None
) -> Item:
    names = [grid.short_names[test] for test in tests]
    if len(names) == len(grid.tests) > 1:
        return Item(rows, (), "every test", text, state)
    left = len(names) - (most or len(names))
    return Item(rows, tuple(names[:most]), f"and {left} more" if left > 0 else "", text, state)


def _listed(names: Sequence[str], most: int) -> str:
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"
