"""`hfmodels watch`: its arguments and its function."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "watch",
        help="run the tests again whenever a test, model or snapshot file changes",
        description="Run the tests whenever a project file changes or you press Enter, and accept or reject the "
        "changed outputs with a key. torch and transformers are imported only once, because later runs are forks of "
        "the process that imported them. If forking is not safe, each run is a new process.",
        usage="hfmodels watch [-- pytest arguments]",
    )
    parser.set_defaults(run=watch)


def watch(options: argparse.Namespace) -> int:
    """Return 0 when the user quits."""
    from pytest_hfmodels.commands.watching.loop import Loop

    return Loop(options.passed_on).run()
