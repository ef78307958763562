"""What commands on pending changes share: which of them are meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.reports.visible import visible

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.snapshots.pending import Pending
    from pytest_hfmodels.snapshots.project import Project

NOTHING = "nothing is pending: run the tests, and what differs will be"


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that choose among what is pending."""
    parser.add_argument(
        "--cause", action="append", default=[], metavar="NAME", help="only changes of this cause, or undetermined ones"
    )
    parser.add_argument(
        "--verdict", action="append", default=[], metavar="NAME", help="only changes of this verdict, like near-tie"
    )
    parser.add_argument("tests", nargs="*", help="test files, folders or node ids (default: everything pending)")


def selected(project: Project, options: argparse.Namespace) -> list[Pending]:
    """Return the pending changes that were asked for; what cannot be read is told, and stays.

    Raises:
        SnapshotError: something that was named is not pending.
    """
    from pytest_hfmodels.snapshots.pending import read_pending, select, unreadable

    for problem in unreadable(project.pending):
        print(f"hfmodels: {visible(str(problem))}", file=sys.stderr)
    found = read_pending(project.pending)
    return select(found, options.tests, project.root, causes=options.cause, verdicts=options.verdict)
