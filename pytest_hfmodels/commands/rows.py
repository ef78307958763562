"""The options that `matrix` and `bisect` share, for every environment."""

from __future__ import annotations

import argparse


def add_row_options(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
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
