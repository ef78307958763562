"""`hfmodels pending`: what failing comparisons left for somebody to decide."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.commands.output import PRINT, write
from pytest_hfmodels.commands.selection import add_selection, nothing_pending, selected
from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.pending import Problem
    from pytest_hfmodels.snapshots.project import Project

_NEXT = "; one by one: hfmodels review; all at once: hfmodels accept, hfmodels reject"


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "pending",
        help="list the snapshot changes to review",
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
    """Return 1 where something is pending, and 2 where a snapshot cannot be read, so that nobody can tell."""
    from pytest_hfmodels.snapshots.pending import problem
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    found = {pending: problem(pending, project.root) for pending in selected(project, options)}
    unread = [trouble for trouble in found.values() if trouble is not None and not trouble.is_stale]
    if options.patch:
        _write_patch(options.patch, found, project)
    elif options.json:
        print(json.dumps([_data(pending, trouble) for pending, trouble in found.items()], indent=1))
        for one in unread:
            print(f"hfmodels: {visible_line(one.what)}", file=sys.stderr)
    else:
        for pending, trouble in found.items():
            why = f" - {trouble.what}" if trouble else ""
            print(visible_line(f"{pending.what}: {pending.test} ({pending.compared}){why}"))
        print(f"{len(found)} pending{_NEXT}" if found else nothing_pending(project))
    return 2 if unread else 1 if found else 0


def _data(pending: Pending, trouble: Problem | None) -> dict[str, Any]:
    if trouble is None:
        return {**asdict(pending), "stale": False, "trouble": None}
    return {**asdict(pending), "stale": True if trouble.is_stale else None, "trouble": trouble.what}


def _write_patch(file: str, found: Mapping[Pending, Problem | None], project: Project) -> None:
    """Write a patch; changes that cannot be accepted as they are are named, and left out."""
    from pytest_hfmodels.reports.patch import apply_command, patch_of

    kept = [pending for pending, trouble in found.items() if trouble is None and pending.not_in_a_patch is None]
    text = patch_of(kept, project.root)
    for pending, trouble in found.items():
        why = pending.not_in_a_patch if trouble is None else trouble.what
        if why is not None:
            print(f"hfmodels: left out: {visible_line(f'{pending.test}: {why}')}", file=sys.stderr)
    write(text, file)
    if file != PRINT:
        print(f"patch of {len(kept)}: {file}; apply it: {apply_command(file, project.root)}")
