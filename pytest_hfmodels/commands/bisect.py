"""`hfmodels bisect`: find the first release of a package with which tests fail or outputs differ."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels.commands import Commands


def add(commands: Commands) -> None:
    """Declare the command's arguments."""
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
        "--bad",
        required=True,
        metavar="VERSION",
        help="a release with which they fail or differ; it may be the older one",
    )
    parser.add_argument("--pre", action="store_true", help="try pre-releases, too")
    parser.add_argument(
        "--with", action="append", default=[], dest="with_", metavar="REQUIREMENT", help="add to every environment"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="NAME", help="leave out of every environment, e.g. tensorflow"
    )
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long the tests may take with a release (default: 3600)"
    )
    parser.add_argument("--restart", action="store_true", help="do not continue an interrupted run")
    parser.add_argument("--json", metavar="FILE", help="also write the answer to a file; - prints it, and nothing else")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Return 0 if the first bad release was found, 1 if the reason is still open, 130 after an interrupt."""
    from pytest_hfmodels.versions.installed import require_extra

    require_extra()
    from pytest_hfmodels.reports.bisect_terminal import answer_data, answer_lines
    from pytest_hfmodels.reports.grid_progress import GridProgress
    from pytest_hfmodels.versions.bisect import Question, bisect
    from pytest_hfmodels.versions.package_index import parse_package
    from pytest_hfmodels.versions.running import TIMEOUT

    question = Question(
        parse_package(options.package),
        options.good,
        options.bad,
        tuple(options.passed_on),
        options.pre,
        tuple(options.with_),
        tuple(options.without),
        options.timeout or TIMEOUT,
        options.restart,
    )
    try:
        with GridProgress() as progress:
            answer = bisect(question, progress)
    except KeyboardInterrupt:
        print("Interrupted. The judged releases are saved; the same command continues from there.", file=sys.stderr)
        return 130
    if options.json != "-":
        print("\n".join(answer_lines(answer)))
    if options.json:
        _write(json.dumps(answer_data(answer), indent=2) + "\n", options.json)
    return 0 if answer.separated else 1


def _write(text: str, file: str) -> None:
    if file == "-":
        sys.stdout.write(text)
        return
    from pathlib import Path

    from pytest_hfmodels.errors import VersionsError
    from pytest_hfmodels.files import write_report

    try:
        write_report(Path(file), text)
    except OSError as error:
        raise VersionsError(
            f"The answer cannot be written to {file}: {error}.", hint="Name a file in a folder that can be written to."
        ) from error


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("it is more than 0")
    return number
