"""Commands that run tests with other releases: `hfmodels matrix` and `hfmodels bisect`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.output import PRINT, require_writable, write
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
"""


def add(commands: Commands) -> None:
    """Declare the commands and their arguments."""
    parser = commands.add_parser(
        "matrix",
        help="run tests in several environments, and show what differs and since when",
        description="Run tests in several environments, one a row, and show what differs and since when. Rows hold to "
        "the versions of the current environment wherever they fit, and only read snapshots.",
        epilog=_EPILOG,
        usage="%(prog)s ROW [ROW ...] [options] [-- pytest arguments]",
    )
    parser.add_argument("rows", nargs="+", metavar="ROW", help="see below")
    parser.add_argument("-j", "--jobs", type=_count, default=1, metavar="N", help="rows at once (default: 1)")
    _add_row_options(parser)
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="a line for every test, also if there is nothing to see"
    )
    for name in _REPORTS:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the grid as {name}; - prints it instead")
    parser.set_defaults(run=matrix)
    parser = commands.add_parser(
        "bisect",
        help="find the first release of a package with which tests fail or outputs differ",
        description="Find the first release of a package with which tests fail, or model outputs differ from those of "
        "the good release. Every release gets an environment of its own; other packages keep their versions.",
        usage="hfmodels bisect PACKAGE --good VERSION --bad VERSION [options] [-- pytest arguments]",
    )
    parser.add_argument("package", help="whose releases; extras may follow in brackets")
    parser.add_argument("--good", required=True, metavar="VERSION", help="a release with which the tests pass")
    parser.add_argument(
        "--bad", required=True, metavar="VERSION", help="a release with which they do not; it may be the older one"
    )
    parser.add_argument("--pre", action="store_true", help="try pre-releases, too")
    _add_row_options(parser)
    parser.add_argument("--json", metavar="FILE", help="also write the answer to a file; - prints it, and nothing else")
    parser.set_defaults(run=bisect)


def _add_row_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options for every environment."""
    parser.add_argument(
        "--with", action="append", default=[], dest="added", metavar="REQ", help="add to every environment"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave out of every environment, e.g. tensorflow"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=3600.0,
        metavar="SECONDS",
        help="how long the tests may take in an environment (default: 3600)",
    )
    parser.add_argument("--restart", action="store_true", help="do not continue an interrupted run")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("it is more than 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it is 1 or more")
    return number


def matrix(options: argparse.Namespace) -> int:
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
    asked = Matrix(
        tuple(parse_rows(options.rows, options.added, options.without)),
        tuple(options.passed_on),
        jobs=options.jobs,
        timeout=options.timeout,
        restart=options.restart,
        outputs=tuple(Path(file) for file in files.values()),
    )
    with GridProgress() as progress:
        grid = run_matrix(asked, progress)
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
    from pytest_hfmodels.reports import grid_pages

    if name == "json":
        return json.dumps(grid.to_data(), indent=1) + "\n"
    if name == "html":
        return grid_pages.as_html(grid)
    return grid_pages.as_markdown(grid, entries, command=_command(options), fold=not options.verbose)


def _command(options: argparse.Namespace) -> str:
    """Return the command that writes the same page again, without options and paths of this machine."""
    from pytest_hfmodels.versions.paths import portable

    with_ = [part for requirement in options.added for part in ("--with", requirement)]
    without = [part for name in options.without for part in ("--without", name)]
    page = [*(["--verbose"] if options.verbose else []), "--markdown", options.markdown]
    passed_on = ["--", *options.passed_on] if options.passed_on else []
    return command("hfmodels", "matrix", *map(portable, (*options.rows, *with_, *without, *page, *passed_on)))


def bisect(options: argparse.Namespace) -> int:
    """Return 0 if the first bad release was found, 1 if the reason is still open, 130 after an interrupt."""
    from pytest_hfmodels.versions.installed import require_extra

    require_extra()
    from pytest_hfmodels.reports.bisect_terminal import answer_data, answer_lines
    from pytest_hfmodels.reports.grid_progress import GridProgress
    from pytest_hfmodels.versions import bisect as room
    from pytest_hfmodels.versions.package_index import parse_package

    question = room.Question(
        parse_package(options.package),
        options.good,
        options.bad,
        tuple(options.passed_on),
        options.pre,
        tuple(options.added),
        tuple(options.without),
        options.timeout,
        options.restart,
    )
    try:
        with GridProgress() as progress:
            answer = room.bisect(question, progress)
    except KeyboardInterrupt:
        print("Interrupted. The judged releases are saved; the same command continues from there.", file=sys.stderr)
        return 130
    if options.json != PRINT:
        print("\n".join(answer_lines(answer)))
    if options.json:
        write(json.dumps(answer_data(answer), indent=2) + "\n", options.json)
    return 0 if answer.separated else 1
