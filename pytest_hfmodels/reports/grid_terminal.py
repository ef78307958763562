"""A grid in the terminal, at any width from 60 columns. Imports rich."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.reports import grid_labels
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import labels
from pytest_hfmodels.versions.results import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.versions.grid import Grid, Line
    from pytest_hfmodels.versions.results import Cell, RowResult

_WIDTH = 100  # where nobody says how wide it may be
_TESTS = 28  # characters that test names get at least, before rows are abbreviated
_CODE = 3  # characters of a cell at its shortest
_GAP = 2  # characters between columns
_STYLES = {
    State.SAME: "green",
    State.SKIPPED: "dim",
    State.ABSENT: "dim",
    State.REMOVED: "dim",
    State.DRIFT: "yellow",
    State.NEAR_TIE: "yellow",
}


def console(*, stderr: bool = False) -> Console:
    """Return a console; as wide as the terminal, or as COLUMNS says, or 100."""
    found = Console(stderr=stderr, highlight=False, markup=False)
    if not found.is_terminal and "COLUMNS" not in found._environ:
        found.width = _WIDTH
    return found


def show(grid: Grid, to: Console, *, fold: bool = True) -> None:
    """Print a grid and what is behind its cells.

    Args:
        grid: what to show.
        to: where.
        fold: whether tests that nobody has to look at share a line.
    """
    grid = _visible(grid)
    to.print()
    headings = _headings(grid, to.width)
    files = grid.lines(fold=fold)
    alike = {file: told for file, lines in files.items() if (told := grid_labels.all_alike(lines))}
    listed = {file: lines for file, lines in files.items() if file not in alike}
    for start, end in _bands(grid, headings, to.width) if listed else ():
        to.print(_table(grid, listed, headings, (start, end), to.width))
        to.print()
    for file, told in alike.items():
        to.print(_hanging(f"{file}:", told, to.width))
    if alike:
        to.print()
    for line in (*_letters(grid, headings if listed else labels(grid.rows)), *_below(grid, to.width)):
        to.print(line)
    to.print(Text(grid_labels.headline(grid), style="bold"))


def _visible(grid: Grid) -> Grid:
    """Return a grid whose texts are single lines with control characters escaped."""
    return replace(grid, rows=tuple(map(_visible_row, grid.rows)))


def _visible_row(row: RowResult) -> RowResult:
    return replace(
        row,
        name=visible_line(row.name),
        versions={name: visible_line(version) for name, version in row.versions.items()},
        moved=tuple(
            ChangedPackage(visible_line(one.name), visible_line(one.before), one.after and visible_line(one.after))
            for one in row.moved
        ),
        cells={
            visible_line(test): replace(
                cell, reason=visible_line(cell.reason), known=cell.known and visible_line(cell.known)
            )
            for test, cell in row.cells.items()
        },
        problem=row.problem and visible_line(row.problem),
        note=visible_line(row.note),
    )


# -- the table -------------------------------------------------------------------------------------------------------


def _headings(grid: Grid, width: int) -> dict[str, str]:
    """Return what stands above the rows: short names if they fit beside the tests, else letters."""
    named = labels(grid.rows)
    needed = sum(_GAP + max(len(named[row.name]), _CODE) for row in grid.rows)
    if needed <= width - _TESTS:
        return named
    return {row.name: _letter(number) for number, row in enumerate(grid.rows)}


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else f"{_letter(number // 26 - 1)}{_letter(number % 26)}"


def _bands(grid: Grid, headings: dict[str, str], width: int) -> list[tuple[int, int]]:
    """Return the rows that go side by side, from one to before another."""
    count = len(grid.rows)
    each = max(_GAP + max(len(heading), _CODE) for heading in headings.values())
    if headings == labels(grid.rows):
        return [(0, count)]
    bands = ceil(count / max(1, (width - _TESTS) // each))
    size = ceil(count / bands)
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def _table(
    grid: Grid, files: Mapping[str, Sequence[Line]], headings: dict[str, str], band: tuple[int, int], width: int
) -> Table:
    rows = grid.rows[slice(*band)]
    lines = [line for several in files.values() for line in several]
    names = max(len(_indented(line)) for line in lines)
    columns = [_columns(lines, [headings[row.name] for row in rows], band, wide=wide) for wide in (True, False)]
    wide = names + sum(columns[0]) <= width and rows == grid.rows
    room = max(_TESTS, width - sum(columns[not wide]))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), expand=False)
    table.add_column("", no_wrap=True, min_width=min(names, room - _GAP))
    for row in rows:
        table.add_column(Text(headings[row.name]), no_wrap=True)
    for file, several in files.items():
        table.add_row(Text(_shortened(file, room - _GAP), style="bold"))
        for line in several:
            cells = [_cell(cell, wide=wide) for cell in line.cells[slice(*band)]]
            table.add_row(Text(_shortened(_indented(line), room - _GAP)), *cells)
    return table


def _columns(lines: Sequence[Line], headings: Sequence[str], band: tuple[int, int], *, wide: bool) -> list[int]:
    """Return how wide each row's column is, its gap included."""
    text = grid_labels.word if wide else grid_labels.code
    cells = zip(*(line.cells[slice(*band)] for line in lines), strict=True)
    return [
        _GAP + max(len(heading), *(len(text(cell)) for cell in column))
        for heading, column in zip(headings, cells, strict=True)
    ]


def _indented(line: Line) -> str:
    return f"  {grid_labels.name(line)}"


def _shortened(text: str, room: int) -> str:
    """Leave out the middle: a test's name tells by its beginning, its parameters stand at its end."""
    if len(text) <= room:
        return text
    end = (room - 1) // 3
    return f"{text[: room - 1 - end]}…{text[-end:]}"


def _cell(cell: Cell, *, wide: bool) -> Text:
    style = "green" if cell.known is not None else _STYLES.get(cell.state, "bold red")
    return Text(grid_labels.word(cell) if wide else grid_labels.code(cell), style=style)


# -- below it --------------------------------------------------------------------------------------------------------


def _letters(grid: Grid, headings: dict[str, str]) -> Iterator[Text]:
    """Yield which row each letter stands for, where letters do."""
    if headings != labels(grid.rows):
        yield from (Text.assemble((headings[row.name], "bold"), f" {row.name}") for row in grid.rows)
        yield Text()


def _below(grid: Grid, width: int) -> Iterator[Text]:
    legend = [f"{''.join(grid_labels.SIGNS[state])}\N{NO-BREAK SPACE}{state}" for state in grid_labels.states(grid)]
    if legend:
        yield Text("\n".join([*wrap("  ".join(legend), width), ""]), "dim")
    for name, changed in grid.changes.items():
        yield _hanging(f"changes first in {name}:", grid_labels.named_tests(grid, changed, most=None), width)
    if grid.changes:
        yield Text()
    for note, rows, tests, reason in grid_labels.note_lines(grid):
        yield _hanging(f"{''.join(grid_labels.SIGNS[note.state])} {rows}: {tests}:", reason, width)
    for row in grid_labels.problems(grid):
        yield _hanging(row.name, grid_labels.trouble(row), width)
    yield Text()
    about = [(f"{rows}: also moved:", what) for rows, what in grid_labels.moved_lines(grid)]
    about += [(f"{row.name}:", row.note) for row in grid.rows]
    for head, text in about:
        if text:
            yield _hanging(head, text, width)
    if any(text for _, text in about):
        yield Text()


def _hanging(head: str, text: str, width: int) -> Text:
    """Return a paragraph whose first words stand out, and whose further lines are indented."""
    lines = wrap(f"{head} {text}", width, subsequent_indent="    ", break_long_words=True, break_on_hyphens=False)
    paragraph = Text("\n".join(lines))
    paragraph.stylize("bold", 0, min(len(head), len(lines[0])))
    return paragraph
