"""`hfmodels matrix`: run tests in several environments and show what differs, and since when."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.output import PRINT, require_writable, write
from pytest_hfmodels.commands.rows import add_row_options
from pytest_hfmodels.foundation.shell import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.snapshots.ledger import LedgerEntry
    from pytest_hfmodels.versions.grid import Grid

_REPORTS = ("json", "html", "markdown")
_EPILOG = """\
rows:
  transformers==4.57.6,5.23.0   one row a release
  'transformers>=5'             any requirement that the installer takes, also an address
  ./transformers                a source tree, wheel or sdist
  rows/old.txt                  a requirements file
  current                       the environment that you are in

exit codes: 0 every cell is the same, skipped or explained by the ledger; 1 something is not; 2 it could not be done;
130 interrupted (the same command continues)
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
    parser.add_argument("-j", "--jobs", type=_count, default=1, metavar="N", help="rows at once (default: 1)")
    add_row_options(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="a line for every test, also if there is nothing to see"
    )
    for name in _REPORTS:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the grid as {name}; - prints it instead")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return the grid's exit code."""
    from pytest_hfmodels.versions.installed import require_extra

    require_extra()
    from pytest_hfmodels.reports.grid_progress import GridProgress
    from pytest_hfmodels.reports.grid_terminal import console, show
    from pytest_hfmodels.versions.matrix import Matrix, run_matrix
    from pytest_hfmodels.versions.rows import parse_rows

    files = {name: file for name in _REPORTS if (file := getattr(options, name))}
    for file in files.values():
        require_writable(file)
    entries = _ledger() if "markdown" in files else ()
    matrix = Matrix(
        tuple(parse_rows(options.rows, options.added, options.without)),
        tuple(options.passed_on),
        jobs=options.jobs,
        timeout=options.timeout,
        restart=options.restart,
        outputs=tuple(Path(file) for file in files.values()),
    )
    with GridProgress() as progress:
        grid = run_matrix(matrix, progress)
    if PRINT not in files.values():
        show(grid, console(), fold=not options.verbose)
    for name, file in files.items():
        write(_rendered(grid, name, options, entries), file)
    if grid.interrupted:
        done = sum(row.built for row in grid.rows)
        print(
            f"Interrupted: {done} of {len(grid.rows)} rows are done. The same command continues; "
            "with --restart it starts over.",
            file=sys.stderr,
        )
    return grid.exit_code


def _ledger() -> Sequence[LedgerEntry]:
    """Return the entries for a page, before anything runs: one that cannot be read is reported at once."""
    from pytest_hfmodels.snapshots.ledger import read_ledger
    from pytest_hfmodels.snapshots.location import LEDGER
    from pytest_hfmodels.snapshots.project import find_project  # starts pytest

    return read_ledger(find_project().snapshots / LEDGER).entries


def _rendered(grid: Grid, name: str, options: argparse.Namespace, entries: Sequence[LedgerEntry]) -> str:
    if name == "json":
        return json.dumps(grid.to_data(), indent=1) + "\n"
    if name == "html":
        from pytest_hfmodels.reports import grid_html

        return grid_html.render(grid)
    from pytest_hfmodels.reports import grid_markdown

    return grid_markdown.render(grid, entries, command=_command(options), fold=not options.verbose)


def _command(options: argparse.Namespace) -> str:
    """Return the command that writes the same page again, without options and paths of this machine."""
    from pytest_hfmodels.versions.paths import portable

    with_ = [part for requirement in options.added for part in ("--with", requirement)]
    without = [part for name in options.without for part in ("--without", name)]
    page = [*(["--verbose"] if options.verbose else []), "--markdown", options.markdown]
    passed_on = ["--", *options.passed_on] if options.passed_on else []
    return command("hfmodels", "matrix", *map(portable, (*options.rows, *with_, *without, *page, *passed_on)))


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number
