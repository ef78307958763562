"""A grid as one HTML file that needs nothing else: no script, no font, no picture from anywhere. Imports jinja2."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pytest_hfmodels.control_chars import visible
from pytest_hfmodels.reports import grid_labels
from pytest_hfmodels.versions.grid import labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.versions.grid import Grid, Line


def render(grid: Grid) -> str:
    """Return the file's text. Whatever a test is called or says is shown as text."""
    page = _environment().from_string(_template("grid.html"))
    return page.render(headline=grid_labels.headline(grid), style=_style(), body=_body(grid))


def grid_section(grid: Grid, told: str) -> Markup:
    """Return the grid as a part of another page, which has this one's colours (`--ground`, `--good`, …).

    Args:
        grid: what to show.
        told: when and by what it was made, in words.
    """
    return Markup(
        '<section id="matrix">\n<style>#matrix {{\n{}\n}}</style>\n'
        '<h2>Other releases</h2>\n<p class="quiet">{}</p>\n{}</section>\n'
    ).format(_style(), told, _body(grid))


def _body(grid: Grid) -> Markup:
    named = labels(grid.rows)
    source = _environment().from_string(_template("grid_body.html"))
    text = source.render(
        headline=grid_labels.headline(grid),
        arguments=" ".join(grid.arguments),
        interrupted=grid.interrupted,
        rows=[
            {
                "name": row.name,
                "label": named[row.name],
                "moves": "; ".join(part for part in (grid_labels.moves(row), row.note) if part),
                "seconds": f"{row.seconds:.0f}",
                "versions": sorted(row.versions.items()),
            }
            for row in grid.rows
        ],
        files=list(_files(grid)),
        states=[(state, *grid_labels.SIGNS[state]) for state in grid_labels.states(grid)],
        changes=grid.changes,
        notes=[
            {
                "state": note.state,
                "sign": grid_labels.SIGNS[note.state][0],
                "rows": rows,
                "tests": tests,
                "reason": reason,
                "explained": note.known is not None,
            }
            for note, rows, tests, reason in grid_labels.note_lines(grid)
        ],
        problems=[(row.name, grid_labels.trouble(row)) for row in grid_labels.problems(grid)],
        known=grid_labels.KNOWN,
    )
    return Markup(text)  # escaped by the template


def _environment() -> Environment:
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_spelt_out
    )


def _spelt_out(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _style() -> Markup:
    return Markup(_template("grid.css"))


def _template(name: str) -> str:
    return files("pytest_hfmodels.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _files(grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield each file with its tests' cells; those are open that have something to look at."""
    folded = grid.lines(fold=True)
    for file, lines in grid.lines(fold=False).items():
        yield {
            "name": file,
            "told": grid_labels.all_alike(folded[file]) or grid_labels.all_told(lines),
            "open": not all(line.folded for line in folded[file]),
            "tests": [_test(grid, line) for line in lines],
        }


def _test(grid: Grid, line: Line) -> dict[str, Any]:
    cells = [
        {
            "state": cell.state,
            "word": grid_labels.word(cell),
            "explained": cell.explained,
            "title": ". ".join(part for part in (cell.reason, cell.known) if part),
            "details": cell.details,
            "row": row.name,
        }
        for row, cell in zip(grid.rows, line.cells, strict=True)
    ]
    return {"name": grid_labels.name(line), "since": grid.since(line.tests[0]), "cells": cells}
