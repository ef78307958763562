"""`hfmodels orphans`: list or delete snapshot files that belong to no test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "orphans",
        help="list snapshot files that belong to no test",
        description="List snapshot files that belong to no test. pytest never deletes one: an engine may be missing, "
        "or a test deselected.",
    )
    parser.add_argument("--delete", action="store_true", help="delete them")
    parser.add_argument("tests", nargs="*", help="what to collect, as pytest takes it (default: the whole project)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 1 where there are some and they were not deleted."""
    from pytest_hfmodels.snapshots.unused import find_orphans  # imports pytest and collects the project

    found = find_orphans(options.tests)
    for path in found:
        if options.delete:
            path.unlink()
        print(visible_line(f"deleted {path}" if options.delete else f"{path}"))
    if found and not options.delete:
        several = f"{len(found)} snapshot files belong" if len(found) > 1 else "1 snapshot file belongs"
        print(f"{several} to no test; delete them: hfmodels orphans --delete")
    return 1 if found and not options.delete else 0
