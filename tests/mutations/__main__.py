"""`python -m tests.mutations NAME -- pytest arguments`, or `--all` for a table of every fault, or `--list`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import HFModelsError
from tests.mutations import report, runner
from tests.mutations.fault import Fault, faults, named

if TYPE_CHECKING:
    from collections.abc import Sequence

KILLERS = Path(__file__).with_name("killers.json")


def main(given: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    end = given.index("--") if "--" in given else len(given)
    parser = _parser()
    options, arguments = parser.parse_args(given[:end]), list(given[end + 1 :])
    try:
        if options.list:
            print("\n".join(f"{fault.part:<11} {fault.name:<48} {fault.says}" for fault in faults().values()))
            return 0
        wanted = {named(name).name for name in options.names}
        chosen = [fault for fault in faults().values() if fault.name in wanted]  # in their own order
        if options.all:
            chosen = [fault for fault in faults().values() if options.part in (None, fault.part)]
        if not chosen:
            parser.error("name a fault, or --all, or --list")
        if len(chosen) == 1 and not (options.all or options.update_killers):
            return runner.run_one(chosen[0], arguments or [chosen[0].tests])
        return _table(chosen, arguments, options)
    except HFModelsError as error:
        print(error, file=sys.stderr)
        return 2


def _table(chosen: Sequence[Fault], arguments: Sequence[str], options: argparse.Namespace) -> int:
    """Run the faults, print the results, write the requested files; return 1 if tests fail without a fault."""
    results = []
    known = {} if options.every else report.killers(options.killers)
    for tests in dict.fromkeys(fault.tests for fault in chosen):
        own = [fault for fault in chosen if fault.tests == tests]
        selection = [*(arguments or [tests]), *([] if options.every else ["-x"])]
        for result in runner.run_all(own, selection, killers=known, limit=options.limit):
            print(report.line(result), flush=True)
            results.append(result)
    seconds = sum(result.seconds for result in results)
    print(*report.totals(results), f"in {seconds:.0f} s", sep="\n")
    if options.markdown is not None:
        options.markdown.write_text("\n".join([*report.markdown(results), ""]), encoding="utf-8")
    if options.update_killers:
        report.update_killers(options.killers, results)
    failing = [result for result in results if result.fault is None and result.verdict != "passes"]
    for result in failing:
        print(f"Without any fault the selection fails, so nothing can be said:\n{result.output}", file=sys.stderr)
    return 1 if failing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults")
    parser.add_argument("--all", action="store_true", help="every fault, one after the other")
    parser.add_argument("--list", action="store_true", help="print the faults")
    parser.add_argument("--part", help="with --all: only faults of this part of the library")
    parser.add_argument("--every", action="store_true", help="run all tests, also after one has caught the fault")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds after which a run is broken off")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--killers", type=Path, metavar="FILE", default=KILLERS, help="tests that run first, by fault")
    parser.add_argument("--update-killers", action="store_true", help="write down which test saw each fault")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
