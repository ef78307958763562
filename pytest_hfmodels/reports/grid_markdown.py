"""A grid as a Markdown page, for a file in the repository or a pull request: no date, no time and no path in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_hfmodels.control_chars import visible
from pytest_hfmodels.reports import grid_labels, markdown
from pytest_hfmodels.versions.grid import labels
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.versions.grid import Grid, Note


def render(grid: Grid, entries: Sequence[LedgerEntry] = (), *, command: str = "", fold: bool = True) -> str:
    """Return the whole page: the table, since when, the reasons, what the ledger knows, and what else moved.

    Args:
        grid: what to show.
        entries: the ledger's; what a cell is explained by is told in their words.
        command: what wrote the page.
        fold: whether tests that nobody has to look at share a line.
    """
    return "\n".join(_lines(grid, entries, command, fold)).rstrip() + "\n"


def _lines(grid: Grid, entries: Sequence[LedgerEntry], command: str, fold: bool) -> Iterator[str]:
    yield f"# {_title(grid)}"
    yield ""
    if command:
        yield f"Written by {markdown.code(portable(command))}."
        yield ""
    yield f"{escape(grid_labels.headline(grid)).capitalize()}."
    yield ""
    if grid.tests:
        yield from _table(grid, fold)
        yield ""
        yield ", ".join(f"{grid_labels.SIGNS[state][0]} {state}" for state in grid_labels.states(grid))
        yield ""
    told = {entry.name for entry in entries}
    yield from _section("Changes first in", _changes(grid))
    yield from _section("Reasons", _reasons(grid, told))
    yield from _section(f"Explained by the ledger ({grid_labels.KNOWN})", _known(grid, entries))
    yield from _section("What else moved", _moved(grid))


def _title(grid: Grid) -> str:
    packages = {row.name.partition("==")[0] for row in grid.rows if "==" in row.name}
    if len(packages) != 1:
        return "What changes between environments"
    return f"What changes between releases of {escape(packages.pop())}"


def _table(grid: Grid, fold: bool) -> Iterator[str]:
    short = labels(grid.rows)
    yield _row(["test", *(_plain(short[row.name]) for row in grid.rows)])
    yield _row(["---"] * (len(grid.rows) + 1))
    for file, lines in grid.lines(fold=fold).items():
        alike = grid_labels.all_alike(lines)
        if alike:
            words = [escape(grid_labels.word(cell)) for cell in lines[0].cells]
            yield _row([f"**{code(file)}**: {alike}", *words])
            continue
        yield _row([f"**{code(file)}**", *("" for _ in grid.rows)])
        for line in lines:
            name = grid_labels.name(line)
            named = len(line.tests) == 1 and "::" in line.tests[0]
            yield _row(
                [code(name) if named else escape(name), *(escape(grid_labels.word(cell)) for cell in line.cells)]
            )


def _changes(grid: Grid) -> Iterator[str]:
    for row, tests in grid.changes.items():
        yield f"**{_plain(row)}**: {grid_labels.named_tests(grid, tests, code, most=None)}"


def _reasons(grid: Grid, told: set[str]) -> Iterator[str]:
    for note, rows, tests, reason in grid_labels.note_lines(grid, code):
        if note.known not in told:
            sign = escape(grid_labels.SIGNS[note.state][0])
            yield f"{sign} **{_plain(rows)}**: {tests}: {_plain(reason)}"
    for row in grid_labels.problems(grid):
        yield f"**{_plain(row.name)}** {_plain(grid_labels.trouble(row))}"


def _known(grid: Grid, entries: Sequence[LedgerEntry]) -> Iterator[str]:
    """Yield each entry that explains a cell, in the ledger's order, with the tests and rows it does so in."""
    named = labels(grid.rows)
    for entry in entries:
        notes = [note for note in grid.notes if note.known == entry.name]
        if notes:
            rows = ", ".join(_plain(named[row.name]) for row in grid.rows if _speaks_of(notes, row.name))
            tests = [test for test in grid.tests if any(test in note.tests for note in notes)]
            yield (
                f"**{escape(entry.name)}** ({entry.kind}, {code(entry.versions)}): {escape(entry.sentence)}. "
                f"In {rows}: {grid_labels.named_tests(grid, tests, code, most=None)}"
            )


def _speaks_of(notes: Sequence[Note], row: str) -> bool:
    return any(row in note.rows for note in notes)


def _moved(grid: Grid) -> Iterator[str]:
    for rows, what in grid_labels.moved_lines(grid):
        yield f"**{_plain(rows)}**: {_plain(what)}"
    for row in grid.rows:
        if row.note:
            yield f"**{_plain(row.name)}**: {_plain(row.note)}"


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    items = list(lines)
    if items:
        yield from (f"## {title}", "", *(f"- {line}" for line in items), "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return escape(portable(text))


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line and inside a table."""
    text = visible(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is one; at an end it starts or ends emphasis.
    return re.sub(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def code(text: str) -> str:
    """Return text in a code span that may be inside a table."""
    text = visible(" ".join(text.split())).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
