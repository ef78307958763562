"""Commands that run tests with other releases: `hfmodels matrix` and `hfmodels bisect`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.commands import grid_reports
from pytest_hfmodels.commands.output import PRINT, write
from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.foundation.shell import command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.commands import Commands
    from pytest_hfmodels.versions.grid import Grid
    from pytest_hfmodels.versions.rows import Row

# Jobs of a matrix: https://docs.github.com/en/actions/reference/limits, https://docs.gitlab.com/ci/yaml/#parallelmatrix.
_JOBS = {"github": 256, "gitlab": 200}
_OF_A_RUN = ("row", "shard", "durations", "verbose", "patch_row", "restart", *grid_reports.REPORTS)
_EPILOG = """\
rows:
  transformers==4.57.6,5.23.0   one row per release
  python==3.12,3.13             one row per release of Python
  cpu==default,avx2             CPU instruction sets; also threads==1,4 and device==cuda
  'transformers>=5'             any single requirement that uv can install, such as a URL
  ./transformers                a source tree, wheel or sdist
  rows/old.txt                  a requirements file
  current                       the environment that you are in

many machines: --plan prints the rows as jobs of a CI. Each job runs one row with --row and writes a --json file.
`hfmodels merge` merges these files.
"""


def add(commands: Commands) -> None:
    """Declare the commands and their arguments."""
    parser = commands.add_parser(
        "matrix",
        help="run tests in several environments, and show what differs and since when",
        description="Run tests in several environments, one per row, and show what differs and since when. A row has "
        "the packages of the current environment, at the same versions if possible. Rows never write snapshots.",
        epilog=_EPILOG,
        usage="%(prog)s ROW [ROW ...] [options] [-- pytest arguments]",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="an environment to run in; see below")
    parser.add_argument(
        "--plan", choices=("github", "gitlab"), help="print the rows as a job matrix for this CI, and run nothing"
    )
    parser.add_argument("--row", metavar="ROW", help="run only this row; other machines run the others")
    parser.add_argument("--shards", type=_count, default=1, metavar="N", help="for --plan: how many jobs share a row")
    parser.add_argument("--shard", metavar="I/N", help="run only the I-th of N shards of the tests")
    parser.add_argument(
        "--durations",
        metavar="FILE",
        help="an earlier --json file, to balance the shards by time; give every shard the same file",
    )
    parser.add_argument(
        "--reuse",
        action="store_true",
        help="do not run a row again if nothing that its tests could read has changed since it finished",
    )
    parser.add_argument(
        "-j", "--jobs", type=_count, default=1, metavar="N", help="how many rows run at once (default: 1)"
    )
    _add_row_options(parser)
    grid_reports.add_reports(parser)
    parser.set_defaults(run=matrix)
    parser = commands.add_parser(
        "bisect",
        help="find the first release of a package that breaks tests or changes outputs",
        description="Find the first release of a package that makes tests fail or changes model outputs. Each release "
        "gets its own environment, in which other packages keep their versions.",
        usage="hfmodels bisect PACKAGE --good VERSION --bad VERSION [options] [-- pytest arguments]",
    )
    parser.add_argument("package", help="the package whose releases to test; extras may follow in brackets")
    parser.add_argument("--good", required=True, metavar="VERSION", help="a release with which the tests pass")
    parser.add_argument(
        "--bad", required=True, metavar="VERSION", help="a release with which they fail; it may be the older one"
    )
    parser.add_argument("--pre", action="store_true", help="try pre-releases, too")
    _add_row_options(parser)
    parser.add_argument("--json", metavar="FILE", help="also write the answer to a file; - prints it, and nothing else")
    parser.set_defaults(run=bisect)


def _add_row_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options for every environment."""
    parser.add_argument(
        "--with",
        action="append",
        default=[],
        dest="added",
        metavar="REQ",
        help="add this requirement to every environment",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="NAME",
        help="remove this package from every environment, such as tensorflow",
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
    from pytest_hfmodels.versions.rows import find_row, parse_rows

    rows = parse_rows(options.rows or [*filter(None, [options.row])], options.added, options.without)
    _require_fitting(options, len(rows))
    if options.plan:
        print(_plan(rows, options.plan, options.shards))
        return 0
    asked, entries = grid_reports.files(options), grid_reports.ledger(options)
    grid = _run([find_row(rows, options.row)] if options.row else rows, rows, options, list(asked.values()))
    code = grid_reports.report(grid, options, entries)
    if grid.interrupted:
        done = sum(row.built for row in grid.rows)
        print(
            f"Interrupted: {done} of {len(grid.rows)} rows are done. The same command continues; "
            "with --restart it starts over.",
            file=sys.stderr,
        )
    return code


def _require_fitting(options: argparse.Namespace, rows: int) -> None:
    """Refuse options that would do nothing, and a plan of more jobs than the CI takes."""
    if options.plan is None:
        if options.shards > 1:
            raise OptionError("--shards needs --plan.", hint=f"Run one with --shard 1/{options.shards}.")
        return
    useless = [name for name in _OF_A_RUN if getattr(options, name)] + (["jobs"] if options.jobs > 1 else [])
    if useless:
        raise OptionError(
            f"--plan runs nothing, so --{useless[0].replace('_', '-')} would do nothing.",
            hint="Leave it out; the jobs of the plan write the reports.",
        )
    jobs, most = rows * options.shards, _JOBS[options.plan]
    if jobs > most:
        from pytest_hfmodels.reports.causes import counted

        raise OptionError(
            f"{counted(rows, 'row')} in {counted(options.shards, 'shard')} are {jobs} jobs, but this CI takes {most}.",
            hint=f"--shards {most // rows}" if most >= rows else "Use fewer rows.",
        )


def _run(rows: Sequence[Row], planned: Sequence[Row], options: argparse.Namespace, outputs: Sequence[str]) -> Grid:
    from pytest_hfmodels.reports.grid_progress import GridProgress
    from pytest_hfmodels.versions.matrix import Matrix, run_matrix
    from pytest_hfmodels.versions.parts import read_durations
    from pytest_hfmodels.versions.shards import Shard

    shard = Shard.parse(options.shard) if options.shard else None
    if options.durations and shard is None:
        raise OptionError("--durations is for --shard.", hint="Add --shard 1/3, or leave it out.")
    asked = Matrix(
        tuple(rows),
        tuple(options.passed_on),
        jobs=options.jobs,
        timeout=options.timeout,
        restart=options.restart,
        outputs=tuple(map(Path, outputs)),
        command=_command(options),
        planned=tuple(row.name for row in planned) if options.row or shard else (),
        shard=shard,
        durations=read_durations(options.durations) if options.durations else {},
        reuse=options.reuse,
    )
    with GridProgress() as progress:
        return run_matrix(asked, progress)


def _plan(rows: Sequence[Row], ci: str, shards: int) -> str:
    """Return the rows for a CI's job matrix: GitHub's `strategy.matrix`, GitLab's `parallel.matrix`."""
    names = [row.name for row in rows]
    numbers = [f"{number}/{shards}" for number in range(1, shards + 1)]
    if ci == "github":
        return json.dumps({"row": names, "shard": numbers})
    return json.dumps([{"ROW": names, "SHARD": numbers}])


def _command(options: argparse.Namespace) -> str:
    """Return the command that runs all rows on one machine, without reports and paths of this machine."""
    from pytest_hfmodels.versions.paths import portable

    with_ = [part for requirement in options.added for part in ("--with", requirement)]
    without = [part for name in options.without for part in ("--without", name)]
    passed_on = ["--", *options.passed_on] if options.passed_on else []
    rows = options.rows or [options.row]
    return command("hfmodels", "matrix", *map(portable, (*rows, *with_, *without, *passed_on)))


def bisect(options: argparse.Namespace) -> int:
    """Return 0 if the first bad release was found, 1 if the reason is still open, 130 after an interrupt."""
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
