"""A grid as a page: HTML that needs nothing else, or Markdown without a date, a time or a path in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_hfmodels.reports import grid_view, pages
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.versions.grid import Grid


def as_html(grid: Grid) -> str:
    """Return an HTML file's text. Whatever a test is called or says is shown as text."""
    return str(pages.render("grid.html", grid=grid, view=grid_view))


def grid_section(grid: Grid, made: str) -> Markup:
    """Return the grid as a part of a page with the same colours; `made` says when it ran."""
    return pages.render("grid_section.html", grid=grid, view=grid_view, made=made)


def as_markdown(grid: Grid, entries: Sequence[LedgerEntry] = (), *, command: str = "", fold: bool = True) -> str:
    """Return a Markdown page: the table, since when, the reasons, what the ledger knows, and what else moved.

    Args:
        grid: what to show.
        entries: of the ledger, which explain cells in their own words.
        command: what wrote the page.
        fold: whether tests with nothing to look at share a line.
    """
    sections = {
        title: [replace(item, rows=portable(item.rows), text=portable(item.text)) for item in items]
        for title, items in grid_view.sections(grid, entries).items()
    }
    page = pages.render(
        "grid.md",
        grid=grid,
        view=grid_view,
        packages=sorted({row.name.partition("==")[0] for row in grid.rows if "==" in row.name}),
        command=portable(command),
        labels=[portable(label) for label in grid.labels.values()],
        files=grid.lines(fold=fold),
        sections=sections,
        explained=list(grid_view.explained(grid, entries)),
    )
    return str(page)
