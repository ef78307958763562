"""Commands on what lies beside the tests: `hfmodels ledger` and `hfmodels orphans`."""

from __future__ import annotations

from contextlib import chdir
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
    parser.add_argument(
        "--all", action="store_true", help="print every entry, with a * before each one that applies here"
    )
    parser.add_argument(
        "--check", action="store_true", help="also collect the tests, and list entries that match none of them"
    )
    parser.set_defaults(run=ledger)
    parser = commands.add_parser(
        "orphans",
        help="list snapshot files that belong to no test",
        description="List snapshot files that belong to no test. pytest never deletes them, because an engine may be "
        "missing, or a test deselected.",
    )
    parser.add_argument("--delete", action="store_true", help="delete them")
    parser.add_argument("tests", nargs="*", help="test files, folders or node ids to collect (default: the project)")
    parser.set_defaults(run=orphans)


def ledger(options: argparse.Namespace) -> int:
    """Return 1 where --check found entries about nothing."""
    from pytest_hfmodels.engines.availability import installed
    from pytest_hfmodels.session import LEDGER
    from pytest_hfmodels.snapshots.ledger import read_ledger
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    found = read_ledger(project.snapshots / LEDGER)
    applying = found.applying(installed).entries
    for entry in found.entries if options.all else applying:
        mark = "* " if options.all and entry in applying else ""
        print(visible_line(f"{mark}{entry.kind} {entry.name} ({entry.versions}): {entry.sentence}"))
    if not found.entries:
        print(f"no ledger found ({relpath(found.path)})")
    elif not applying and not options.all:
        print(f"none of the ledger's {len(found.entries)} entries applies to the installed versions")
    if not options.check:
        return 0
    from pytest_hfmodels.snapshots.unused import find_unused_entries

    with chdir(project.root):  # from a subfolder pytest would collect only that
        unused = find_unused_entries(found, project.root)
    for entry, reason in unused:
        print(visible_line(f"{entry.place}: {entry.name} {reason}"))
    return 1 if unused else 0


def orphans(options: argparse.Namespace) -> int:
    """Return 1 where there are some and they were not deleted."""
    from pytest_hfmodels.snapshots.unused import find_orphans  # imports pytest and collects the project

    found = find_orphans(options.tests)
    for path in found:
        if options.delete:
            path.unlink()
        print(visible_line(f"deleted {path}" if options.delete else f"{path}"))
    if not found or options.delete:
        return 0
    several = f"{len(found)} snapshot files belong" if len(found) > 1 else "1 snapshot file belongs"
    print(f"{several} to no test; delete them: hfmodels orphans --delete")
    return 1
