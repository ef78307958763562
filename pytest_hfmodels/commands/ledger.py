"""`hfmodels ledger`: what is known of upstream, and what of it applies here."""

from __future__ import annotations

from contextlib import chdir
from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.snapshots.ledger import LedgerEntry


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "ledger",
        help="print the ledger entries that apply to the installed versions",
        description="Print the entries of the ledger (upstream.toml beside the snapshots) that apply to the installed "
        "versions.",
    )
    parser.add_argument("--all", action="store_true", help="print all entries, with those that apply marked by *")
    parser.add_argument(
        "--check", action="store_true", help="also collect the tests, and say which entries are about none of them"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 1 where --check found entries about nothing."""
    from pytest_hfmodels.engines.availability import installed
    from pytest_hfmodels.snapshots.ledger import read_ledger
    from pytest_hfmodels.snapshots.location import LEDGER
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    ledger = read_ledger(project.snapshots / LEDGER)
    applying = ledger.applying(installed).entries
    for entry in ledger.entries if options.all else applying:
        print(visible_line(_line(entry, marked=options.all and entry in applying)))
    if not ledger.entries:
        print(f"no ledger found ({relpath(ledger.path)})")
    elif not applying and not options.all:
        print(f"none of the ledger's {len(ledger.entries)} entries applies to the installed versions")
    if not options.check:
        return 0
    from pytest_hfmodels.snapshots.unused import find_unused_entries

    with chdir(project.root):  # from a subfolder pytest would collect only that
        unused = find_unused_entries(ledger, project.root)
    for entry, reason in unused:
        print(visible_line(f"{entry.place}: {entry.name} {reason}"))
    return 1 if unused else 0


def _line(entry: LedgerEntry, *, marked: bool) -> str:
    return f"{'* ' if marked else ''}{entry.kind} {entry.name} ({entry.versions}): {entry.sentence}"
