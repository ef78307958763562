"""`hfmodels diff`: what accepting would change in the snapshots."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.selection import add_selection, selected
from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.errors import SnapshotError

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "diff",
        help="print what accepting would change in the snapshots",
        description="Print what accepting would change in the snapshots, for reading: unseen characters are named and "
        "long lines are cut. `hfmodels pending --patch FILE` writes it for `git apply`.",
    )
    parser.add_argument("--full", action="store_true", help="cut no lines")
    add_selection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 1 where something differs, 0 where nothing is pending, 2 where a snapshot cannot be read."""
    from rich.console import Console

    from pytest_hfmodels.reports.pending_diff import diff_lines
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    chosen = selected(project, options)
    console, unread = Console(highlight=False, soft_wrap=True), False
    for pending in chosen:
        try:
            for line in diff_lines(pending, project.root, full=options.full):
                console.print(line)
        except SnapshotError as error:  # one says nothing of the others
            unread = True
            print(f"hfmodels: {visible(str(error))}", file=sys.stderr)
    return 2 if unread else 1 if chosen else 0
