"""`hfmodels review`: decide what is pending, change by change."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.selection import add_selection, nothing_pending, selected
from pytest_hfmodels.foundation.errors import OptionError

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "review",
        help="decide what is pending, change by change",
        description="Show the pending changes one by one, those of a cause together, and do with each what you say. "
        "A decision takes effect at once; what you skip stays pending, and so does the rest when you leave.",
    )
    add_selection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 where nothing is left to decide, and 1 where something is."""
    if sys.stdin is None or not sys.stdin.isatty():  # None where it was closed
        raise OptionError(
            "hfmodels review asks questions, and its standard input is no terminal.",
            hint="Use hfmodels pending and hfmodels diff to look, hfmodels accept and hfmodels reject to decide.",
        )
    from pytest_hfmodels.commands.reviewing.lock import alone
    from pytest_hfmodels.commands.reviewing.loop import Walk
    from pytest_hfmodels.commands.reviewing.terminal import Terminal
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    if not selected(project, options):
        print(nothing_pending(project))
        return 0
    with alone(project.pending.path):
        return 1 if Walk(project, selected(project, options), Terminal()).run() else 0
