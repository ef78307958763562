"""`hfmodels accept`: take pending outputs into the snapshots, and keep the old ones for older releases."""

from __future__ import annotations

import sys
from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.selection import add_selection, nothing_pending, selected
from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.shell import command

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.snapshots.accepting import Variation


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "accept",
        help="take pending outputs into the snapshots",
        description="Take what failing tests observed into their snapshots. With --keep-old-as the old snapshots stay "
        "as a variant for the releases of --when, with an entry in the ledger. `git checkout` undoes it.",
    )
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--keep-old-as", metavar="NAME", help="keep the old snapshots as this variant")
    side.add_argument("--as-variant", metavar="NAME", help="leave the old snapshots, and keep the new as this variant")
    parser.add_argument("--when", metavar="RANGE", help='the releases of the variant, like "transformers<5"')
    parser.add_argument("--what", default="", help="what changed, for the ledger")
    parser.add_argument("--reference", default="", help="an upstream issue or pull request, for the ledger")
    add_selection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 where something was accepted, 1 where nothing was pending or nothing of it has a test any more."""
    from pytest_hfmodels.snapshots.accepting import accept, still_listed
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    variation = _variation(options)
    project = find_project()
    chosen = selected(project, options)
    if not chosen:
        print(nothing_pending(project))
        return 1
    gone = [pending for pending in chosen if pending.is_gone(project.root)]
    rest = [pending for pending in chosen if pending not in gone]
    for path in accept(project, rest, variation) if rest else ():
        print(f"wrote {visible_line(relpath(path))}")
    for pending in gone:
        print(f"left out, because there is no such test any more: {visible_line(pending.test)}")
    said = f"{len(rest)} accepted"
    if gone:
        said += f", {len(gone)} left out (hfmodels reject drops what it names)"
    if rest:
        new = variation is not None or any(pending.digest is None for pending in rest)
        add = (
            f"{command('git', 'add', '-N', relpath(project.snapshots))} && "  # git shows new files once they are added
        )
        said += f"; review them: {add if new else ''}git diff"
    print(said)
    if listed := still_listed(project, rest):
        print(f"hfmodels: {visible_line(listed)}", file=sys.stderr)
    return 0 if rest else 1


def _variation(options: argparse.Namespace) -> Variation | None:
    from pytest_hfmodels.snapshots.accepting import Variation

    name = options.as_variant if options.keep_old_as is None else options.keep_old_as
    if name == "":  # an empty variable in a script must not mean "no variant"
        raise OptionError("The variant has no name.", hint="Give it one: --keep-old-as before-5.")
    if name is None and (options.when or options.what or options.reference):
        raise OptionError(
            "--when, --what and --reference belong to a variant.",
            hint='Add --keep-old-as NAME: hfmodels accept --keep-old-as before-5 --when "transformers<5"',
        )
    if name is None:
        return None
    if not options.when:
        raise OptionError("A variant is for some releases.", hint='Add --when "transformers<5".')
    return Variation(
        name, options.when, "new" if options.keep_old_as is None else "old", options.what, options.reference
    )
