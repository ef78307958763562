"""How soon `hfmodels watch` answers: `python -m benchmarks.watch`.

Watches the GPT-2 snapshots on torch in a pseudo-terminal, and presses Enter. Seconds from the key until pytest starts
(limit 1 s), and until the question is shown again (limit 3 s), beside a plain run of the same tests.
"""

from __future__ import annotations

import argparse
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.pairs import ROOT, Command, Spread, clean_environment, verdict

STARTS, ENDS = 1.0, 3.0
TESTS = tuple(f"suites/gpt2/test_{name}.py" for name in ("beam", "classification", "defaults", "greedy"))
ARGUMENTS = (*TESTS, "--hfmodels-engines", "torch", "-p", "no:cacheprovider")
PATIENCE = 900.0


class Watching:
    """`hfmodels watch` in a pseudo-terminal."""

    def __init__(self) -> None:
        self._own, other = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest_hfmodels", "watch", "--", *ARGUMENTS],
            cwd=ROOT,
            stdin=other,
            stdout=other,
            stderr=other,
            env=clean_environment(),
            start_new_session=True,
        )
        os.close(other)

    def press(self, key: str) -> None:
        os.write(self._own, key.encode())

    def seconds_until(self, text: str) -> float:
        """Read until a text has come.

        Raises:
            SystemExit: it does not come.
        """
        begin, read = time.perf_counter(), ""
        while text not in read:
            if not select.select([self._own], [], [], PATIENCE)[0]:
                raise SystemExit(f"{read}\n\nhfmodels watch did not say {text!r}: nothing was measured.")
            read += os.read(self._own, 65536).decode(errors="replace")
        return time.perf_counter() - begin

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of the runs so far, which are this process's children."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def leave(self) -> None:
        self.press("q")
        self._process.wait(60)
        os.close(self._own)


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watch", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="timed runs after the first (default 5)")
    options = parser.parse_args(arguments)
    watching, starts, ends, spent = Watching(), [], [], []
    watching.seconds_until("q quit > ")
    for _ in range(options.runs):
        before = watching.cpu_seconds()
        watching.press("\n")
        starts.append(watching.seconds_until("test session starts"))
        ends.append(starts[-1] + watching.seconds_until("q quit > "))
        spent.append(watching.cpu_seconds() - before)
    watching.leave()
    plain = Command("pytest", (sys.executable, "-m", "pytest", *ARGUMENTS)).run()
    for what, found, limit in (("starts", starts, STARTS), ("ends", ends, ENDS)):
        print(f"{what}: {Spread.of(found).show()} s, limit {limit:.0f} s: {verdict(Spread.of(found).middle, limit)}")
    print(f"CPU of a run: {Spread.of(spent).show()} s")
    print(f"plain run: {plain.seconds:.1f} s ({plain.cpu_seconds:.1f} s of CPU)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
