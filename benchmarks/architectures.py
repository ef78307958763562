"""The cost of the suites of all architectures on torch: `python -m benchmarks.architectures`.

`pytest suites/architectures --hfmodels-engines torch`, once: seconds (limit 180 s on two idle cores), CPU seconds and
peak memory (limit 1.5 GB).
"""

from __future__ import annotations

import argparse
import resource
import sys

from benchmarks.pairs import Command, verdict

SECONDS, GIGABYTES = 180.0, 1.5
TESTS = ("suites/architectures", "--hfmodels-engines", "torch", "-q", "-p", "no:cacheprovider")
SUITES = Command("pytest suites/architectures, torch", (sys.executable, "-m", "pytest", *TESTS))


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__).parse_args(arguments)
    run = SUITES.run()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # of this process's only child
    print(f"{run.seconds:.0f} s, limit {SECONDS:.0f} s: {verdict(run.seconds, SECONDS)}")
    print(f"{run.cpu_seconds:.0f} s of CPU")
    print(f"peak memory {peak:.2f} GB, limit {GIGABYTES} GB: {verdict(peak, GIGABYTES)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
