"""A grid as Markdown, for a file in the repository or a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_hfmodels.reports import grid_words
from pytest_hfmodels.versions.grid import labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.versions.grid import Grid


def render(grid: Grid) -> str:
    """Return the whole of it: the table, since when, the reasons, and what else moved."""
    return "\n".join(_lines(grid)).rstrip() + "\n"


def _lines(grid: Grid) -> Iterator[str]:
    yield f"{escape(grid_words.headline(grid)).capitalize()}."
    yield ""
    if grid.tests:
        yield from _table(grid)
        yield ""
        yield ", ".join(f"{grid_words.SIGNS[state][0]} {state}" for state in grid_words.states(grid))
        yield ""
    yield from _section("Changes first in", _changes(grid))
    yield from _section("Reasons", _reasons(grid))
    yield from _section("What else moved", _moved(grid))


def _table(grid: Grid) -> Iterator[str]:
    named = labels(grid.rows)
    yield _row(["test", *(escape(named[row.name]) for row in grid.rows)])
    yield _row(["---"] * (len(grid.rows) + 1))
    before = None
    for test in grid.tests:
        file, _, name = test.partition("::")
        if file != before:
            yield _row([f"**{code(file)}**", *("" for _ in grid.rows)])
            before = file
        words = [escape(grid_words.word(grid.cell(test, row))) for row in grid.rows]
        yield _row([code(name) if name else "(the file)", *words])


def _changes(grid: Grid) -> Iterator[str]:
    for row, tests in grid.changes.items():
        yield f"**{escape(row)}**: {', '.join(map(code, tests))}"


def _reasons(grid: Grid) -> Iterator[str]:
    for note, rows, tests, reason in grid_words.note_lines(grid, code):
        sign = escape(grid_words.SIGNS[note.state][0])
        yield f"{sign} **{escape(rows)}**: {tests}: {escape(reason)}"
    for row in grid_words.problems(grid):
        yield f"**{escape(row.name)}** {escape(grid_words.trouble(row))}"


def _moved(grid: Grid) -> Iterator[str]:
    for row in grid.rows:
        if what := "; ".join(part for part in (grid_words.moves(row), row.note) if part):
            yield f"**{escape(row.name)}**: {escape(what)}"


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    items = list(lines)
    if items:
        yield from (f"### {title}", "", *(f"- {line}" for line in items), "")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line and inside a table."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    # An underscore inside a word is one; at an end it starts or ends emphasis.
    return re.sub(r"([\\`*\[\]|~$]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def code(text: str) -> str:
    """Return text in a code span that may be inside a table."""
    text = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
