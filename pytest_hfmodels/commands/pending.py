"""`hfmodels pending`: what failing comparisons left for somebody to decide."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.selection import add_selection, selected

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.snapshots.pending import Pending
    from pytest_hfmodels.snapshots.project import Project

_PRINT = "-"


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "pending",
        help="list the snapshot changes that wait for a decision",
        description="List the snapshot changes that failing tests left behind. `hfmodels review` walks through them; "
        "`hfmodels accept` and `hfmodels reject` decide without asking.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print them as JSON")
    how.add_argument(
        "--patch", metavar="FILE", help="write what accepting would change, for git apply; - prints it instead"
    )
    add_selection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 1 where something is pending."""
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    chosen = selected(project, options)
    if options.patch:
        _write_patch(options.patch, chosen, project)
        return 1 if chosen else 0
    found = [(pending, pending.staleness(project.root)) for pending in chosen]
    if options.json:
        print(json.dumps([{**asdict(pending), "stale": stale is not None} for pending, stale in found], indent=1))
        return 1 if found else 0
    for pending, stale in found:
        print(_line(pending, stale))
    print(
        f"{len(found)} pending; one by one: hfmodels review; all at once: hfmodels accept, hfmodels reject"
        if found
        else "nothing is pending"
    )
    return 1 if found else 0


def _line(pending: Pending, stale: str | None) -> str:
    what = pending.verdict if pending.cause is None else f"{pending.verdict}, {pending.cause}"
    told = "" if stale is None else f" - stale: the file {stale}; run the test again"
    return f"{what}: {pending.test} ({pending.compared}){told}"


def _write_patch(file: str, chosen: Sequence[Pending], project: Project) -> None:
    """Write a patch; stale changes are named, and left out.

    Raises:
        SnapshotError: it cannot be written.
    """
    from pathlib import Path

    from pytest_hfmodels.errors import SnapshotError
    from pytest_hfmodels.files import write_atomically
    from pytest_hfmodels.reports.patch import APPLY, patch_of

    text = patch_of(chosen, project.root)
    stale = [pending for pending in chosen if pending.is_stale(project.root)]
    for pending in stale:
        print(f"hfmodels: {pending.test} is stale and left out: run it again", file=sys.stderr)
    if file == _PRINT:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        return
    try:
        write_atomically(Path(file), text)
    except OSError as error:
        raise SnapshotError(
            f"The patch cannot be written to {file}: {error.strerror or error}.",
            hint="Name a file in a folder that can be written to.",
        ) from error
    print(f"patch of {len(chosen) - len(stale)}: {file}; take it in with: {APPLY} {file}")
