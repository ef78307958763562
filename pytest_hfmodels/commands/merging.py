"""`hfmodels merge`: the parts of a run on many machines become one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.commands import grid_reports

if TYPE_CHECKING:
    import argparse

    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "merge",
        help="merge the parts of a run on several machines",
        description="Merge the parts of a run on several machines: the files of `hfmodels matrix --row ROW --json "
        "FILE` and of `pytest --hfmodels-json FILE`. The grid is the one that a single machine would give. If a row "
        "has no part, its column says so.",
    )
    parser.add_argument(
        "parts", nargs="+", metavar="PART", help="a file, a folder of files, or NAME=FILE to name the row"
    )
    grid_reports.add_reports(parser)
    parser.set_defaults(run=merge)


def merge(options: argparse.Namespace) -> int:
    """Return the grid's exit code."""
    from pytest_hfmodels.foundation.rootdir import project_root
    from pytest_hfmodels.versions import parts
    from pytest_hfmodels.versions.last_grid import save_grid

    grid_reports.files(options)
    entries = grid_reports.ledger(options)
    grid = parts.merge(parts.read_parts(options.parts))
    save_grid(project_root(), grid)
    return grid_reports.report(grid, options, entries)
