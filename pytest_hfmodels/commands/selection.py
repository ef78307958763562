"""What commands on pending changes share: which of them are meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.control_chars import visible

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
    """Return the pending changes that were asked for.

    Files that cannot be read, and changes that would write anything but a snapshot, are listed and stay. Names without
    a pending change are listed, too, if other names have one, so that a killed command can be typed again.

    Raises:
        SnapshotError: no name has a pending change, or none of the changes may be written.
    """
    from pytest_hfmodels.errors import SnapshotError
    from pytest_hfmodels.snapshots.accepting import refusal
    from pytest_hfmodels.snapshots.pending import read_pending, select, unreadable

    problems = unreadable(project.pending)
    found: list[Pending] = []
    refused: list[Pending] = []
    for pending in read_pending(project.pending):
        problem = refusal(project, pending)
        (found if problem is None else refused).append(pending)
        problems += [] if problem is None else [problem]
    chosen: dict[Pending, None] = {}
    unmatched: list[SnapshotError] = []
    for names in [[test] for test in options.tests] or [[]]:
        try:
            some = select(found, names, project.root, causes=options.cause, verdicts=options.verdict)
            chosen |= dict.fromkeys(some)
        except SnapshotError as error:
            unmatched.append(error)
    if not chosen and (unmatched or refused):
        raise (*unmatched, *problems)[0]
    for problem in (*problems, *unmatched):
        print(f"hfmodels: {visible(str(problem))}", file=sys.stderr)
    return list(chosen)
