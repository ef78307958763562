"""A grid as one HTML file that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.reports import grid_view, pages

if TYPE_CHECKING:
    from markupsafe import Markup

    from pytest_hfmodels.versions.grid import Grid


def render(grid: Grid) -> str:
    """Return the file's text. Whatever a test is called or says is shown as text."""
    return str(pages.render("grid.html", grid=grid, view=grid_view))


def grid_section(grid: Grid, made: str) -> Markup:
    """Return the grid as a part of a page with the same colours; `made` says when it ran."""
    return pages.render("grid_section.html", grid=grid, view=grid_view, made=made)
