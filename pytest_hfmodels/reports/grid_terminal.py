"""A grid in the terminal, at any width from 60 columns. Imports rich."""

from __future__ import annotations

import os
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.reports import grid_labels
from pytest_hfmodels.versions.results import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_hfmodels.versions.grid import Grid, Line
    from pytest_hfmodels.versions.results import Cell

_WIDTH = 100  # if the output is not a terminal
_NAMES = 28  # characters that test names get at least, before rows are abbreviated
_STYLES = {
    State.SAME: "green",
    State.SKIPPED: "dim",
    State.NOT_RUN: "dim",
    State.REMOVED: "dim",
    State.DRIFT: "yellow",
    State.NEAR_TIE: "yellow",
}


def console(*, stderr: bool = False) -> Console:
    """Return a console; as wide as the terminal, or as COLUMNS says, or 100."""
    found = Console(stderr=stderr, highlight=False, markup=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = _WIDTH
    return found


def show(grid: Grid, to: Console, *, fold: bool = True) -> None:
    """Print a grid and what is behind its cells. If `fold`, tests with nothing to look at share a line."""
    to.print()
    files = grid.lines(fold=fold)
    alike = {file: text for file, lines in files.items() if (text := grid_labels.all_alike(lines))}
    listed = {file: lines for file, lines in files.items() if file not in alike}
    names = headings = list(grid.labels.values())
    if listed:
        headings, tables = _tables(listed, names, to)
        for table in tables:
            to.print(table, "")
    for file, text in alike.items():
        to.print(_hanging(f"{file}:", text, to.width))
    if alike:
        to.print()
    if headings != names:
        to.print(
            *(_text(f"{letter} {row.name}") for letter, row in zip(headings, grid.rows, strict=True)), "", sep="\n"
        )
    for line in _below(grid, to.width):
        to.print(line)
    to.print(Text(grid_labels.headline(grid), style="bold"))


# -- the table -------------------------------------------------------------------------------------------------------


def _tables(files: Mapping[str, Sequence[Line]], names: list[str], to: Console) -> tuple[list[str], list[Table]]:
    """Return headings and tables that fit: with words, else with signs, else with letters as headings, else several."""
    count = len(names)
    letters = list(map(_letter, range(count)))
    shorter = [(grid_labels.code, letters, size) for size in range(count, 0, -1)]
    for text, headings, size in [(grid_labels.word, names, count), (grid_labels.code, names, count), *shorter]:
        bands = [slice(start, start + size) for start in range(0, count, size)]
        tables = [_table(files, headings, band, text) for band in bands]
        if all(_fits(table, to) for table in tables):
            break
    return headings, tables


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"{_letter(number // 26 - 1)}{_letter(number % 26)}"


def _table(
    files: Mapping[str, Sequence[Line]], headings: Sequence[str], rows: slice, text: Callable[[Cell], str]
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    for heading in headings[rows]:
        table.add_column(_text(heading), no_wrap=True)
    for file, lines in files.items():
        table.add_row(_text(file, "bold"))
        for line in lines:
            cells = (Text(text(cell), _style(cell)) for cell in line.cells[rows])
            table.add_row(_text(f"  {grid_labels.name(line)}"), *cells)
    return table


def _fits(table: Table, to: Console) -> bool:
    """Return whether the cells fit beside names of a usable width; rich folds longer ones."""
    names = table.columns[0]
    names.max_width = _NAMES
    needed = Measurement.get(to, to.options.update(max_width=10_000), table).maximum
    names.max_width = None
    return needed <= to.width


def _style(cell: Cell) -> str:
    return "green" if cell.known is not None else _STYLES.get(cell.state, "bold red")


# -- below it --------------------------------------------------------------------------------------------------------


def _below(grid: Grid, width: int) -> Iterator[Text]:
    """Yield the paragraphs below the table, each group followed by an empty line."""
    signs = {state: "".join(grid_labels.SIGNS[state]) for state in grid_labels.states(grid)}
    legend = "  ".join(f"{sign}\N{NO-BREAK SPACE}{state}" for state, sign in signs.items())
    groups = [
        [Text(line, "dim") for line in wrap(legend, width, break_on_hyphens=False)],
        [
            _hanging(f"changes first in {row}:", grid_labels.named_tests(grid, tests), width)
            for row, tests in grid.changes.items()
        ],
        [
            *(
                _hanging(f"{signs[note.state]} {rows}: {tests}:", reason, width)
                for note, rows, tests, reason in grid_labels.note_lines(grid)
            ),
            *(_hanging(row, problem, width) for row, problem in grid_labels.problems(grid)),
        ],
        [
            *(_hanging(f"{rows}: also moved:", what, width) for rows, what in grid_labels.moved_lines(grid)),
            *(_hanging(f"{row.name}:", row.note, width) for row in grid.rows if row.note),
        ],
    ]
    for group in filter(None, groups):
        yield from (*group, Text())


def _hanging(head: str, text: str, width: int) -> Text:
    """Return a paragraph whose first words are bold, and whose further lines are indented."""
    lines = wrap(visible_line(f"{head} {text}"), width, subsequent_indent="    ", break_on_hyphens=False)
    paragraph = Text("\n".join(lines))
    paragraph.stylize("bold", 0, min(len(head), len(lines[0])))
    return paragraph


def _text(text: str, style: str = "") -> Text:
    return Text(visible_line(text), style)
