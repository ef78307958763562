"""The `hfmodels` command: arguments to functions, and an int for the exit code."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 1 where something was found, or 2 where it could not be done."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except HFModelsError as error:
        print(f"hfmodels: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hfmodels", description="Work on the snapshots of model regression tests.")
    commands = parser.add_subparsers(required=True, metavar="command")
    orphans = commands.add_parser(
        "orphans",
        help="list snapshot files that belong to no test",
        description="List snapshot files that belong to no test. pytest never deletes one: an engine may be missing, "
        "or a test deselected.",
    )
    orphans.add_argument("--delete", action="store_true", help="delete them")
    orphans.add_argument("tests", nargs="*", help="what to collect, as pytest takes it (default: the whole project)")
    orphans.set_defaults(run=_orphans)
    return parser


def _orphans(options: argparse.Namespace) -> int:
    from pytest_hfmodels.snapshots.orphans import find_orphans  # imports pytest and collects the project

    found = find_orphans(options.tests)
    for path in found:
        if options.delete:
            path.unlink()
        print(f"deleted {path}" if options.delete else path)
    if found and not options.delete:
        print(f"{len(found)} snapshot files belong to no test; delete them with: hfmodels orphans --delete")
    return 1 if found and not options.delete else 0
