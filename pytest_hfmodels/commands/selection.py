"""What commands on pending changes share: which of them are meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.errors import SnapshotError

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.project import Project


def nothing_pending(project: Project) -> str:
    """Return what to print if nothing is pending. It names the root, as another folder may have another one."""
    return visible(f"nothing is pending in {project.root}: run the tests, and what differs will be")


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
    a pending change are listed, too, if other names have one; this lets you rerun a killed command.

    Raises:
        SnapshotError: no name has a pending change, or none of the changes may be written.
    """
    from pytest_hfmodels.snapshots.accepting import refusal
    from pytest_hfmodels.snapshots.pending import select

    refusals = {pending: refusal(project, pending) for pending in project.pending.read()}
    found = [pending for pending, refused in refusals.items() if refused is None]
    chosen: dict[Pending, None] = {}
    problems: list[SnapshotError] = []
    for names in [[test] for test in options.tests] or [[]]:
        try:
            some = select(found, names, project.root, causes=options.cause, verdicts=options.verdict)
            chosen |= dict.fromkeys(some)
        except SnapshotError as error:
            problems.append(error)
    problems += filter(None, refusals.values())
    if problems and not chosen:
        raise problems[0]
    for problem in (*project.pending.unreadable(), *problems):
        print(f"hfmodels: {visible(str(problem))}", file=sys.stderr)
    return list(chosen)
