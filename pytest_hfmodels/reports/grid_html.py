"""A grid as one HTML file that needs nothing else: no script, no font, no picture from anywhere. Imports jinja2."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from pytest_hfmodels.reports import grid_words
from pytest_hfmodels.versions.grid import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.versions.grid import Grid


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
    """Yield each file with its tests' cells."""
    found: dict[str, list[dict[str, Any]]] = {}
    for test in grid.tests:
        file, _, name = test.partition("::")
        cells = [
            {
                "state": cell.state,
                "word": grid_words.word(cell),
                "explained": cell.explained,
                "title": ". ".join(part for part in (cell.reason, cell.known) if part),
                "details": cell.details,
                "row": row.name,
            }
            for row in grid.rows
            for cell in [grid.cell(test, row)]
        ]
        found.setdefault(file, []).append({"name": name or "(the file)", "since": grid.since(test), "cells": cells})
    for file, tests in found.items():
        yield {"name": file, "tests": tests}
