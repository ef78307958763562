"""`hfmodels pending`: what failing comparisons left for somebody to decide."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "pending",
        help="list the snapshot changes that wait for a decision",
        description="List the snapshot changes that failing tests left behind: accept them with `hfmodels accept`.",
    )
    parser.add_argument("--json", action="store_true", help="print them as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 1 where something is pending."""
    from pytest_hfmodels.snapshots.pending import read_pending
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    found = [(pending, pending.is_stale(project.root)) for pending in read_pending(project.pending)]
    if options.json:
        print(json.dumps([{**asdict(pending), "stale": stale} for pending, stale in found], indent=1))
        return 1 if found else 0
    for pending, stale in found:
        print(f"{pending.verdict}: {pending.test} ({pending.compared}){' - stale: run it again' if stale else ''}")
    print(f"{len(found)} pending; accept them with: hfmodels accept" if found else "nothing is pending")
    return 1 if found else 0
