"""A grid as a Markdown page, for a file in the repository or a pull request: no date, no time and no path in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_hfmodels.reports import grid_view, pages
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Sequence

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
