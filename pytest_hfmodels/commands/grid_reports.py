"""The reports of a grid that `hfmodels matrix` and `hfmodels merge` write: the same options, the same files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.output import PRINT, require_writable, write
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import OptionError, VersionsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.snapshots.project import Project
    from pytest_hfmodels.versions.grid import Grid

_WORDS = {
    "json": "JSON",
    "html": "an HTML page",
    "markdown": "Markdown",
    "junit": "JUnit XML",
    "summary": "short Markdown, for a comment on a pull request",
}
REPORTS = (*_WORDS, "patch")


def add_reports(parser: argparse.ArgumentParser) -> None:
    """Declare the options for what is shown and written."""
    parser.add_argument("-v", "--verbose", action="store_true", help="one line per test, even if nothing differs")
    for name, words in _WORDS.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the grid as {words}; - prints it instead")
    parser.add_argument(
        "--patch", metavar="FILE", help="write what accepting the outputs of one row would change, for git apply"
    )
    parser.add_argument(
        "--patch-row", metavar="ROW", help="the row of --patch (default: current, or the last that ran)"
    )


def files(options: argparse.Namespace) -> dict[str, str]:
    """Return the files that were asked for, by kind, before anything runs.

    Raises:
        OptionError: one cannot be written.
    """
    found = {name: file for name in REPORTS if (file := getattr(options, name))}
    if options.patch_row and not options.patch:
        raise OptionError("--patch-row needs --patch.", hint="Add --patch hfmodels.patch.")
    for file in found.values():
        require_writable(file)
    return found


def ledger(options: argparse.Namespace) -> Sequence[LedgerEntry]:
    """Return the ledger's entries for a page, before anything runs: one that cannot be read is reported at once."""
    if not options.markdown:
        return ()
    from pytest_hfmodels.session import LEDGER
    from pytest_hfmodels.snapshots.ledger import read_ledger
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    return read_ledger(find_project().snapshots / LEDGER).entries


def report(grid: Grid, options: argparse.Namespace, entries: Sequence[LedgerEntry]) -> int:
    """Show a grid and write its files; return its exit code."""
    from pytest_hfmodels.reports.grid_terminal import console, show

    asked = files(options)
    if PRINT not in asked.values():
        show(grid, console(), fold=not options.verbose)
    for name, file in asked.items():
        write(_rendered(grid, name, options, entries), file)
    return grid.exit_code


def _rendered(grid: Grid, name: str, options: argparse.Namespace, entries: Sequence[LedgerEntry]) -> str:
    from pytest_hfmodels.reports import grid_junit, grid_pages
    from pytest_hfmodels.versions import grid_file

    if name == "json":
        return grid_file.dump(grid)
    if name == "html":
        return grid_pages.as_html(grid)
    if name == "junit":
        return grid_junit.as_junit(grid)
    if name == "summary":
        return grid_pages.as_summary(grid)
    if name == "patch":
        return _patch(grid, options.patch_row)
    return grid_pages.as_markdown(grid, entries, fold=not options.verbose)


def _patch(grid: Grid, name: str | None) -> str:
    """Return the patch of a row; say which, and what it leaves out."""
    from pytest_hfmodels.reports.causes import counted
    from pytest_hfmodels.reports.diff import patch_of
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    row = grid.decided if name is None else grid.row(name)
    if row is None or not row.built:
        raise VersionsError(
            f"The row {name!r} of --patch-row did not run." if name else "No row ran, so there is no patch to write.",
            hint=f"The rows are {', '.join(row.name for row in grid.rows)}.",
        )
    project = find_project()
    refused = {one: _left_out(one, project) for one in row.pending}
    for one, why in refused.items():
        if why is not None:
            print(f"hfmodels: left out of the patch: {visible_line(f'{one.test}: {why}')}", file=sys.stderr)
    kept = [one for one, why in refused.items() if why is None]
    print(f"hfmodels: the patch has {counted(len(kept), 'change')} from {visible_line(row.name)}", file=sys.stderr)
    return patch_of(kept, project.root)


def _left_out(pending: Pending, project: Project) -> str | None:
    """Return why a patch does not hold a change, or None if it does. A part may come from anywhere."""
    from pytest_hfmodels.snapshots.accepting import refusal

    refused = refusal(project, pending, is_local=False)
    if refused is not None or pending.not_in_a_patch is not None:
        return pending.not_in_a_patch if refused is None else refused.message
    stale = pending.staleness(project.root)
    return None if stale is None else f"{pending.compared} {stale}"
