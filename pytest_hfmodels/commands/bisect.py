"""`hfmodels bisect`: find the first release of a package with which tests fail or outputs differ."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pytest_hfmodels.commands.output import PRINT, write
from pytest_hfmodels.commands.rows import add_row_options

if TYPE_CHECKING:
    import argparse

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
        "--bad", required=True, metavar="VERSION", help="a release with which they do not; it may be the older one"
    )
    parser.add_argument("--pre", action="store_true", help="try pre-releases, too")
    add_row_options(parser)
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

    question = Question(
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
            answer = bisect(question, progress)
    except KeyboardInterrupt:
        print("Interrupted. The judged releases are saved; the same command continues from there.", file=sys.stderr)
        return 130
    if options.json != PRINT:
        print("\n".join(answer_lines(answer)))
    if options.json:
        write(json.dumps(answer_data(answer), indent=2) + "\n", options.json)
    return 0 if answer.separated else 1
