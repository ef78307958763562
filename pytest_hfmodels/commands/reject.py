"""`hfmodels reject`: drop pending outputs; the snapshots stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.commands.selection import add_selection, nothing_pending, selected
from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "reject",
        help="drop pending outputs; the snapshots stay",
        description="Drop what failing tests observed. Snapshots stay as they are, so that the tests fail until what "
        "they test is mended; a failing run makes it pending again.",
    )
    add_selection(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 where something was rejected, 1 where nothing was pending."""
    from pytest_hfmodels.snapshots.accepting import reject
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    project = find_project()
    chosen = selected(project, options)
    if not chosen:
        print(nothing_pending(project))
        return 1
    reject(project, chosen)
    for pending in chosen:
        print(visible_line(f"dropped what {pending.test} observed; {pending.after_reject(project.root)}"))
    failing = not all(pending.is_gone(project.root) for pending in chosen)
    print(f"{len(chosen)} rejected{': their tests fail until what they test is mended' if failing else ''}")
    return 0
