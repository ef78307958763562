"""`hfmodels matrix`: run tests in several environments and show what differs, and since when."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.cli import Commands
    from pytest_hfmodels.versions.grid import Grid

_REPORTS = ("json", "html", "markdown")
_PRINT = "-"
_WRITABLE = "Name a file in a folder that can be written to."
_EPILOG = """\
rows:
  transformers==4.57.6,5.23.0   one row a release
  'transformers>=5'             any requirement that the installer takes, an address too
  ./transformers                a source tree, wheel or sdist
  rows/old.txt                  a requirements file
  current                       the environment that this runs in

exit codes: 0 every cell is the same, skipped or explained by the ledger; 1 something is not; 2 it could not be done;
130 interrupted (the same command goes on)
"""


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser(
        "matrix",
        help="run tests in several environments, and show what differs and since when",
        description="Run tests in several environments, one a row, and show what differs and since when. Rows hold to "
        "the versions of the current environment wherever they fit, and only read snapshots.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s ROW [ROW ...] [options] [-- pytest arguments]",
    )
    parser.add_argument("rows", nargs="+", metavar="ROW", help="see below")
    parser.add_argument("--with", action="append", default=[], dest="added", metavar="REQ", help="add to every row")
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave out of every row, e.g. tensorflow"
    )
    parser.add_argument("-j", "--jobs", type=_count, default=1, metavar="N", help="rows at once (default: 1)")
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long a row's tests may take (default: 3600)"
    )
    parser.add_argument("--restart", action="store_true", help="do not go on with an interrupted run")
    for name in _REPORTS:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the grid as {name}; - prints it instead")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return the grid's exit code."""
    from pytest_hfmodels.versions.installed import require_extra

    require_extra()
    from pytest_hfmodels.reports.grid_progress import GridProgress
    from pytest_hfmodels.versions.matrix import Matrix, run_matrix
    from pytest_hfmodels.versions.rows import parse_rows
    from pytest_hfmodels.versions.running import TIMEOUT

    files = {name: file for name in _REPORTS if (file := getattr(options, name))}
    _check(files)
    matrix = Matrix(
        tuple(parse_rows(options.rows, options.added, options.without)),
        tuple(options.passed_on),
        jobs=options.jobs,
        timeout=options.timeout or TIMEOUT,
        restart=options.restart,
        outputs=tuple(Path(file) for file in files.values()),
    )
    with GridProgress() as progress:
        grid = run_matrix(matrix, progress)
    _report(grid, files)
    return grid.exit_code


def _check(files: Mapping[str, str]) -> None:
    """Refuse before anything runs what could not be written after it."""
    from pytest_hfmodels.errors import VersionsError

    for file in files.values():
        path = Path(file).absolute()
        folder = next(parent for parent in path.parents if parent.exists())
        if file != _PRINT and (path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK)):
            raise VersionsError(f"The grid cannot be written to {file}.", hint=_WRITABLE)


def _report(grid: Grid, files: Mapping[str, str]) -> None:
    """Write what was asked for; the grid goes to the terminal unless a report does."""
    from pytest_hfmodels.errors import VersionsError
    from pytest_hfmodels.files import write_atomically
    from pytest_hfmodels.reports.grid_terminal import console, show

    if _PRINT not in files.values():
        show(grid, console())
    for name, file in files.items():
        text = _rendered(grid, name)
        if file == _PRINT:
            print(text, end="")
            continue
        try:
            write_atomically(Path(file), text)
        except OSError as error:
            raise VersionsError(f"The grid cannot be written to {file}: {error}.", hint=_WRITABLE) from error
    if grid.interrupted:
        done = sum(row.built for row in grid.rows)
        print(
            f"Interrupted: {done} of {len(grid.rows)} rows are done. The same command goes on; "
            "with --restart it begins again.",
            file=sys.stderr,
        )


def _rendered(grid: Grid, name: str) -> str:
    if name == "json":
        return json.dumps(grid.to_data(), indent=1) + "\n"
    if name == "html":
        from pytest_hfmodels.reports import grid_html

        return grid_html.render(grid)
    from pytest_hfmodels.reports import grid_markdown

    return grid_markdown.render(grid)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("it is more than 0")
    return number
