"""Commands on what lies beside the tests: `hfmodels ledger` and `hfmodels orphans`."""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the commands and their arguments."""
    parser = commands.add_parser(
        "ledger",
        help="print the ledger entries that apply to the installed versions",
        description="Print the entries of the ledger (upstream.toml beside the snapshots) that apply to the installed "
        "versions.",
    )
    parser.set_defaults(run=ledger)
    parser = commands.add_parser(
        "orphans",
        help="list snapshot files that belong to no test",
        description="List snapshot files that belong to no test. pytest never deletes them, because an engine may be "
        "missing, or a test deselected.",
    )
    parser.add_argument("--delete", action="store_true", help="delete them")
    parser.set_defaults(run=orphans)


def ledger(_options: argparse.Namespace) -> int:
    """Return 0."""
    from pytest_hfmodels.engines.availability import installed
    from pytest_hfmodels.session import LEDGER
    from pytest_hfmodels.snapshots.ledger import read_ledger
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    found = read_ledger(find_project().snapshots / LEDGER)
    applying = found.applying(installed).entries
    for entry in applying:
        print(visible_line(f"{entry.kind} {entry.name} ({entry.versions}): {entry.sentence}"))
    if not found.entries:
        print(f"no ledger found ({relpath(found.path)})")
    elif not applying:
        print(f"none of the ledger's {len(found.entries)} entries applies to the installed versions")
    return 0


def orphans(options: argparse.Namespace) -> int:
    """Return 1 where there are some and they were not deleted."""
    from pytest_hfmodels.snapshots.unused import find_orphans  # imports pytest and collects the project

    found = find_orphans()
    for path in found:
        if options.delete:
            path.unlink()
        print(visible_line(f"deleted {path}" if options.delete else f"{path}"))
    if not found or options.delete:
        return 0
    several = f"{len(found)} snapshot files belong" if len(found) > 1 else "1 snapshot file belongs"
    print(f"{several} to no test; delete them: hfmodels orphans --delete")
    return 1
