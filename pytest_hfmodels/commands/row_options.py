"""What `matrix` and `bisect` share: options for every environment, and where a report goes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import write_report

PRINT = "-"  # in place of a file


def add_row_options(parser: argparse.ArgumentParser) -> None:
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


def write(text: str, file: str) -> None:
    """Write a report to a file, or print it."""
    if file == PRINT:
        sys.stdout.write(text)
        return
    try:
        write_report(Path(file), text)
    except OSError as error:
        raise unwritable(file, f": {error}") from error


def unwritable(file: str, reason: str = "") -> VersionsError:
    """Return the error for a report that cannot be written."""
    return VersionsError(
        f"The report cannot be written to {file}{reason}.", hint="Name a file in a folder that can be written to."
    )
