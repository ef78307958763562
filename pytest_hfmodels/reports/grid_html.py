"""A grid as one HTML file that needs nothing else: no script, no font, no picture from anywhere. Imports jinja2."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from pytest_hfmodels.reports import grid_words
from pytest_hfmodels.versions.grid import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.versions.grid import Grid, Line


def render(grid: Grid) -> str:
    """Return the file's text. Whatever a test is called or says is shown as text."""
    source = files("pytest_hfmodels.reports").joinpath("templates", "grid.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    named = labels(grid.rows)
    return environment.from_string(source).render(
        headline=grid_words.headline(grid),
        arguments=" ".join(grid.arguments),
        interrupted=grid.interrupted,
        rows=[
            {
                "name": row.name,
                "label": named[row.name],
                "moves": "; ".join(part for part in (grid_words.moves(row), row.note) if part),
                "seconds": f"{row.seconds:.0f}",
                "versions": sorted(row.versions.items()),
            }
            for row in grid.rows
        ],
        files=list(_files(grid)),
        states=[(state, *grid_words.SIGNS[state]) for state in grid_words.states(grid)],
        changes=grid.changes,
        notes=[
            {
                "state": note.state,
                "sign": grid_words.SIGNS[note.state][0],
                "rows": rows,
                "tests": tests,
                "reason": reason,
                "explained": note.known is not None,
            }
            for note, rows, tests, reason in grid_words.note_lines(grid)
        ],
        problems=[(row.name, grid_words.trouble(row)) for row in grid_words.problems(grid)],
        known=grid_words.KNOWN,
    )


def _files(grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield each file with its tests' cells; those are open that have something to look at."""
    folded = grid.lines(fold=True)
    for file, lines in grid.lines(fold=False).items():
        yield {
            "name": file,
            "told": grid_words.all_alike(folded[file]) or grid_words.all_told(lines),
            "open": not all(line.folded for line in folded[file]),
            "tests": [_test(grid, line) for line in lines],
        }


def _test(grid: Grid, line: Line) -> dict[str, Any]:
    cells = [
        {
            "state": cell.state,
            "word": grid_words.word(cell),
            "explained": cell.explained,
            "title": ". ".join(part for part in (cell.reason, cell.known) if part),
            "details": cell.details,
            "row": row.name,
        }
        for row, cell in zip(grid.rows, line.cells, strict=True)
    ]
    return {"name": grid_words.name(line), "since": grid.since(line.tests[0]), "cells": cells}
