"""A grid as a Markdown page, for a file in the repository or a pull request: no date, no time and no path in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.reports import grid_labels, markdown
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.versions.grid import Grid


def render(grid: Grid, entries: Sequence[LedgerEntry] = (), *, command: str = "", fold: bool = True) -> str:
    """Return the whole page: the table, since when, the reasons, what the ledger knows, and what else moved.

    Args:
        grid: what to show.
        entries: of the ledger, which explain cells in their own words.
        command: what wrote the page.
        fold: whether tests with nothing to look at share a line.
    """
    paragraphs = [
        f"# {_title(grid)}",
        f"Written by {markdown.code(portable(command))}." if command else "",
        f"{escape(grid_labels.headline(grid)).capitalize()}.",
        "\n".join(_table(grid, fold)) if grid.tests else "",
        ", ".join(f"{grid_labels.SIGNS[state][0]} {state}" for state in grid_labels.states(grid)),
        *_section("Changes first in", _changes(grid)),
        *_section("Reasons", _reasons(grid, {entry.name for entry in entries})),
        *_section(f"Explained by the ledger ({grid_labels.KNOWN})", _known(grid, entries)),
        *_section("What else moved", (f"**{_text(rows)}**: {_text(what)}" for rows, what in _moved(grid))),
    ]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _title(grid: Grid) -> str:
    packages = {row.name.partition("==")[0] for row in grid.rows if "==" in row.name}
    if len(packages) != 1:
        return "What changes between environments"
    return f"What changes between releases of {escape(packages.pop())}"


def _table(grid: Grid, fold: bool) -> Iterator[str]:
    yield _row(["test", *(_text(grid.labels[row.name]) for row in grid.rows)])
    yield _row(["---"] * (len(grid.rows) + 1))
    for file, lines in grid.lines(fold=fold).items():
        alike = grid_labels.all_alike(lines)
        if not alike:
            yield _row([f"**{code(file)}**", *("" for _ in grid.rows)])
        for line in lines:
            name = grid_labels.name(line)
            named = len(line.tests) == 1 and "::" in line.tests[0]
            first = f"**{code(file)}**: {alike}" if alike else code(name) if named else escape(name)
            yield _row([first, *(escape(grid_labels.word(cell)) for cell in line.cells)])


def _changes(grid: Grid) -> Iterator[str]:
    for row, tests in grid.changes.items():
        yield f"**{_text(row)}**: {grid_labels.named_tests(grid, tests, code)}"


def _reasons(grid: Grid, said: set[str]) -> Iterator[str]:
    for note, rows, tests, reason in grid_labels.note_lines(grid, code):
        if note.known not in said:
            sign = escape(grid_labels.SIGNS[note.state][0])
            yield f"{sign} **{_text(rows)}**: {tests}: {_text(reason)}"
    for row, problem in grid_labels.problems(grid):
        yield f"**{_text(row)}** {_text(problem)}"


def _known(grid: Grid, entries: Sequence[LedgerEntry]) -> Iterator[str]:
    """Yield each entry that explains a cell, in the ledger's order, with the tests and rows where it does."""
    for entry in entries:
        notes = [note for note in grid.notes if note.known == entry.name]
        if notes:
            rows = ", ".join(
                _text(grid.labels[row.name]) for row in grid.rows if any(row.name in note.rows for note in notes)
            )
            tests = [test for test in grid.tests if any(test in note.tests for note in notes)]
            yield (
                f"**{escape(entry.name)}** ({entry.kind}, {code(entry.versions)}): {escape(entry.sentence)}. "
                f"In {rows}: {grid_labels.named_tests(grid, tests, code)}"
            )


def _moved(grid: Grid) -> Iterator[tuple[str, str]]:
    yield from grid_labels.moved_lines(grid)
    yield from ((row.name, row.note) for row in grid.rows if row.note)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    if found := "\n".join(f"- {line}" for line in lines):
        yield f"## {title}"
        yield found


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    return escape(portable(text))


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line and inside a table."""
    text = visible(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is one; at an end it starts or ends emphasis.
    return re.sub(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def code(text: str) -> str:
    """Return text in a code span that may be inside a table."""
    return markdown.code(text).replace("|", "\\|")
