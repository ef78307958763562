"""`python -m tests.mutations NAME -- pytest arguments`, or `--all` for a table of every fault, or `--list`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import HFModelsError
from tests.mutations import report, runner
from tests.mutations.fault import Fault, faults, named

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(given: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    mine, rest = _divided(list(given))
    options, arguments = _parser().parse_args(mine), rest or ["suites"]
    try:
        if options.list:
            print("\n".join(f"{fault.part:<11} {fault.name:<48} {fault.says}" for fault in faults().values()))
            return 0
        if options.all:
            return _table(list(faults().values()), arguments, options)
        chosen = [named(name) for name in options.names]
        if not chosen:
            _parser().error("name a fault, or --all, or --list")
        if len(chosen) == 1 and options.json is None:
            return runner.run_one(chosen[0], arguments)
        return _table(chosen, arguments, options)
    except HFModelsError as error:
        print(error, file=sys.stderr)
        return 2


def _divided(given: list[str]) -> tuple[list[str], list[str]]:
    """Return what stands before and behind `--`."""
    end = given.index("--") if "--" in given else len(given)
    return given[:end], given[end + 1 :]


def _table(chosen: list[Fault], arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Run every fault, print the table, write it where asked; return 1 if the selection fails without a fault."""
    from rich.console import Console

    results = runner.run_all(
        [fault for fault in chosen if options.part in (None, fault.part)],
        arguments,
        limit=options.limit,
        every=options.every,
        say=lambda result: print(report.line(result), flush=True),
    )
    console = Console()
    console.print(report.table(results))
    console.print("\n".join(report.totals(results)))
    if options.json is not None:
        options.json.write_text(report.as_json(results), encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text("\n".join([*report.markdown(results), ""]), encoding="utf-8")
    failing = [result for result in results if result.verdict == "no baseline"]
    for result in failing:
        print(f"Without any fault the selection fails, so nothing can be said:\n{result.output}", file=sys.stderr)
    return 1 if failing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults")
    parser.add_argument("--all", action="store_true", help="every fault, one after the other")
    parser.add_argument("--list", action="store_true", help="print the faults")
    parser.add_argument("--part", help="only faults of this part of the library")
    parser.add_argument("--every", action="store_true", help="go on after the first test that sees a fault")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a run is broken off")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
