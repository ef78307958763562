"""A grid as a page: HTML that needs nothing else, or Markdown without a date, a time or a path in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_hfmodels.reports import grid_view, markdown, pages
from pytest_hfmodels.reports.html import outputs
from pytest_hfmodels.reports.summary import Summary
from pytest_hfmodels.versions.paths import portable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.versions.grid import Grid


_SHOWN = 500  # items and lines that a summary tries to hold
SUMMARY = 60_000  # bytes: GitHub cuts a comment at 65,536 characters


def as_html(grid: Grid) -> str:
    """Return an HTML file's text. Whatever a test is called or says is shown as text."""
    row = grid_view.shown_row(grid)
    shown = outputs(Summary(()) if row is None else grid_view.summary_of(row))
    return str(pages.render("grid.html", grid=grid, view=grid_view, row=row, **shown))


def grid_section(grid: Grid, made: str) -> Markup:
    """Return the grid as a part of a page with the same colours; `made` says when it ran."""
    return pages.render("grid_section.html", grid=grid, view=grid_view, made=made)


def as_summary(grid: Grid, *, most: int = SUMMARY) -> str:
    """Return a Markdown page of at most `most` bytes, for a comment.

    It has the reasons, the outputs of the row whose changes are accepted, and the tests that need a look.

    What there is no room for is counted.
    """
    sections = {title: items for title, items in _sections(grid, ()).items() if title != "Changes first in"}
    items = [(title, item) for title, found in sections.items() for item in found]
    lines = list(grid_view.changed_lines(grid))
    row = grid_view.shown_row(grid)
    about = {
        "grid": grid,
        "view": grid_view,
        "labels": [portable(label) for label in grid.labels.values()],
        "row": row,
        "outputs": "" if row is None else markdown.outputs(grid_view.summary_of(row), "see the table of tests."),
    }
    shown = min(len(items), _SHOWN), min(len(lines), _SHOWN)
    while True:
        kept: dict[str, list[grid_view.Item]] = {}
        for title, item in items[: shown[0]]:
            kept.setdefault(title, []).append(item)
        left = (len(items) - shown[0], len(lines) - shown[1])
        page = str(pages.render("grid_summary.md", **about, sections=kept, lines=lines[: shown[1]], left=left))
        if len(page.encode()) <= most or not any(shown):
            return page
        shown = (shown[0] * 2 // 3 if not shown[1] else shown[0], shown[1] * 2 // 3)


def as_markdown(grid: Grid, entries: Sequence[LedgerEntry] = (), *, fold: bool = True) -> str:
    """Return a Markdown page: the table, since when, the reasons, what the ledger knows, and what else moved.

    Args:
        grid: what to show.
        entries: of the ledger, which explain cells in their own words.
        fold: whether tests with nothing to look at share a line.
    """
    page = pages.render(
        "grid.md",
        grid=grid,
        view=grid_view,
        packages=sorted({row.name.partition("==")[0] for row in grid.rows if "==" in row.name}),
        command=portable(grid.command),
        labels=[portable(label) for label in grid.labels.values()],
        files=grid.lines(fold=fold),
        sections=_sections(grid, entries),
        explained=list(grid_view.explained(grid, entries)),
    )
    return str(page)


def _portable(item: grid_view.Item) -> grid_view.Item:
    return replace(
        item,
        rows=portable(item.rows),
        text=portable(item.text),
        command=portable(item.command),
        remedy=portable(item.remedy),
    )


def _sections(grid: Grid, entries: Sequence[LedgerEntry]) -> dict[str, list[grid_view.Item]]:
    """Return the sections without paths of this machine."""
    return {title: [_portable(item) for item in items] for title, items in grid_view.sections(grid, entries).items()}
