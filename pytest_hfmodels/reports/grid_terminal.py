"""A grid in the terminal. Imports rich."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.reports import grid_view
from pytest_hfmodels.reports.summary_lines import output_lines
from pytest_hfmodels.versions.results import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_hfmodels.versions.grid import Grid, Line
    from pytest_hfmodels.versions.results import Cell

_WIDTH = 100  # if the output is not a terminal
_NAMES = 28  # columns that names of tests get at least
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
    files = grid.lines(fold=fold)
    alike = {file: text for file, lines in files.items() if (text := grid_view.all_alike(lines))}
    listed = {file: lines for file, lines in files.items() if file not in alike}
    labels = [visible_line(label) for label in grid.labels.values()]
    to.print()
    if listed:
        table = _table(listed, labels, grid_view.word)
        if _needed(table, to) > to.width:  # signs then, and each part of a release's number on a line of its own
            table = _table(listed, [label.replace(".", ".\n") for label in labels], grid_view.code)
            to.width = max(to.width, _needed(table, to))
        to.print(table)
        to.print()
    for file, text in alike.items():
        to.print(_text(f"{file}: {text}"))
    if alike:
        to.print()
    signs = [Text(f"{''.join(grid_view.SIGNS[state])} {state}", "dim") for state in grid_view.states(grid)]
    if signs:
        to.print(Columns(signs, padding=(0, 2, 0, 0)))
        to.print()
    _show_sections(grid, to)
    if row := grid_view.shown_row(grid):
        to.print(_text(grid_view.row_headline(row), "bold"))
        for line in output_lines(grid_view.summary_of(row), "--html FILE shows more"):
            to.print(Text(f"  {line}"), soft_wrap=True)
        to.print()
    to.print(Text(grid_view.headline(grid), style="bold"))


def _show_sections(grid: Grid, to: Console) -> None:
    for title, items in grid_view.sections(grid).items():
        to.print(Text(title, "bold"))
        signs = ["-" if item.state is None else "".join(grid_view.SIGNS[item.state]) for item in items]
        for item, sign in zip(items, signs, strict=True):
            line = Table.grid(padding=(0, 1))
            line.add_column(min_width=2 + max(map(len, signs)))
            line.add_row(
                Text(f"  {sign}"), Text.assemble((visible_line(item.rows), "bold"), f": {visible_line(item.rest)}")
            )
            to.print(line)
            for what, said in (("find the release", item.command), ("for the old output", item.remedy)):
                if said:  # on one line, so that it can be copied
                    to.print(Text(f"     {what}: {visible_line(said)}"), soft_wrap=True)
        to.print()


def _table(files: Mapping[str, Sequence[Line]], headings: Sequence[str], text: Callable[[Cell], str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2 if text is grid_view.word else 1, 0, 0))
    table.add_column(overflow="fold")
    for heading in headings:
        table.add_column(Text(heading), no_wrap=True)
    for file, lines in files.items():
        table.add_row(_text(file, "bold"))
        for line in lines:
            cells = (Text(text(cell), _style(cell)) for cell in line.cells)
            table.add_row(_text(f"  {grid_view.name(line)}"), *cells)
    return table


def _needed(table: Table, to: Console) -> int:
    """Return how many columns a table needs if names of tests get no more than a usable width; rich folds them."""
    names = table.columns[0]
    names.max_width = _NAMES
    needed = Measurement.get(to, to.options.update(max_width=10_000), table).maximum
    names.max_width = None
    return needed


def _style(cell: Cell) -> str:
    return "green" if cell.known is not None else _STYLES.get(cell.state, "bold red")


def _text(text: str, style: str = "") -> Text:
    return Text(visible_line(text), style)
