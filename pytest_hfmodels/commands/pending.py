"""`hfmodels pending`: what failing comparisons left for somebody to decide."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.commands.selection import add_selection, nothing_pending, selected
from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.pending import Problem
    from pytest_hfmodels.snapshots.project import Project

_PRINT = "-"
_NEXT = "; one by one: hfmodels review; all at once: hfmodels accept, hfmodels reject"
_NO_TEXT = "it holds a lone surrogate, which is no text; have the test observe text, and run it again"


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
    chosen = selected(project, options)
    found = [(pending, problem(pending, project.root)) for pending in chosen]
    if options.patch:
        _write_patch(options.patch, found, project)
    elif options.json:
        print(json.dumps([_told(pending, trouble) for pending, trouble in found], indent=1))
    else:
        for pending, trouble in found:
            print(_line(pending, trouble))
        print(f"{len(found)} pending{_NEXT}" if found else nothing_pending(project))
    unread = [trouble for _, trouble in found if trouble is not None and not trouble.is_stale]
    for trouble in unread if options.json else ():  # the others have said it
        print(f"hfmodels: {visible_line(trouble.what)}", file=sys.stderr)
    return 2 if unread else 1 if found else 0


def _told(pending: Pending, trouble: Problem | None) -> dict[str, Any]:
    stale = None if trouble is not None and not trouble.is_stale else trouble is not None
    return {**asdict(pending), "stale": stale, "trouble": None if trouble is None else trouble.what}


def _line(pending: Pending, trouble: Problem | None) -> str:
    what = pending.verdict if pending.cause is None else f"{pending.verdict}, {pending.cause}"
    told = "" if trouble is None else f" - {trouble.what}"
    return visible_line(f"{what}: {pending.test} ({pending.compared}){told}")


def _write_patch(file: str, found: Sequence[tuple[Pending, Problem | None]], project: Project) -> None:
    """Write a patch; changes that cannot be accepted as they are are named, and left out.

    Raises:
        SnapshotError: it cannot be written.
    """
    from pathlib import Path

    from pytest_hfmodels.foundation.errors import SnapshotError
    from pytest_hfmodels.foundation.files import write_report
    from pytest_hfmodels.reports.patch import apply_command, patch_of

    kept = [pending for pending, trouble in found if trouble is None and pending.is_text()]
    text, taken = patch_of(kept, project.root), set(kept)
    for pending, trouble in found:
        if pending not in taken:
            why = _NO_TEXT if trouble is None else trouble.what
            print(f"hfmodels: left out: {visible_line(f'{pending.test}: {why}')}", file=sys.stderr)
    if file == _PRINT:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        return
    try:
        write_report(Path(file), text)
    except OSError as error:
        raise SnapshotError(
            f"The patch cannot be written to {file}: {error.strerror or error}.",
            hint="Name a file in a folder that can be written to.",
        ) from error
    print(f"patch of {len(kept)}: {file}; apply it: {apply_command(file, project.root)}")
