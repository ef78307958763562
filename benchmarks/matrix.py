"""The cost of a matrix besides its tests, and of each further environment: `python -m benchmarks.matrix`.

Environments are built one after the other into an empty cache of uv's: seconds, and what each adds to the disk. Then
`hfmodels matrix` over them, against the sum of its rows' own pytest time divided by the parallel jobs (limit 1.15),
against the same rows as plain sessions, `nox -s row -- transformers==…`, one after the other, and against itself with
`--reuse`, when nothing has changed (limit 0.7 s a row, 10 s for fourteen); in pairs, after one untimed run of each.
Torch only, as those sessions are. Needs nox, a package index and some 3 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.pairs import ROOT, Command, Spread, progress, table, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LIMIT = 1.15
REUSE_LIMIT = 10 / 14  # seconds a row
ROWS = ("transformers==4.49.0", "transformers==4.57.6", "transformers==5.0.0", "transformers==5.23.0")
TESTS = ("suites/gpt2",)
QUICK_ROWS = ("transformers==4.57.6", "transformers==5.23.0")
QUICK_TESTS = ("suites/gpt2/test_greedy.py",)
WITHOUT = ("tensorflow", "tf-keras")
MIB = 1024.0 * 1024.0


@dataclass(frozen=True)
class Built:
    """An environment that was built: its seconds, then those of getting it again, and the bytes that it added."""

    row: str
    seconds: float
    again: float
    added: int


@dataclass(frozen=True)
class Pair:
    """Seconds of a matrix, of its rows' own pytest in all, of the matrix again, and of the rows as nox sessions."""

    matrix: float
    rows: float
    again: float  # with --reuse
    sessions: float


def main(arguments: list[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matrix", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rows, one test file, one pair")
    parser.add_argument("--pairs", type=int, help="timed pairs (default 3)")
    parser.add_argument(
        "-j", "--jobs", type=int, help="rows at once (default: as many as there are cores, at most all)"
    )
    parser.add_argument("--folder", help="where the environments are built (default: the folder for temporary files)")
    parser.add_argument("tests", nargs="*", help=f"what pytest runs (default {' '.join(TESTS)})")
    options = parser.parse_args(arguments)
    if find_spec("nox") is None:
        raise SystemExit("The rows are compared with nox sessions, and there is no nox: pip install nox.")
    rows = QUICK_ROWS if options.quick else ROWS
    tests = tuple(options.tests) or (QUICK_TESTS if options.quick else TESTS)
    jobs = options.jobs or min(len(rows), os.cpu_count() or 1)
    pairs = options.pairs or (1 if options.quick else 3)
    with TemporaryDirectory(prefix="hfmodels-matrix-", dir=options.folder) as name:
        folder = Path(name)
        os.environ["UV_CACHE_DIR"] = str(folder / "uv")
        report_environments(list(build(rows, folder)))
        report_pairs(list(time_pairs(rows, tests, jobs, pairs, folder)), len(rows), jobs, tests)
    return 0


def build(rows: Sequence[str], folder: Path) -> Iterator[Built]:
    """Build every row's environment, with an installer's cache that is empty before the first."""
    from pytest_hfmodels.versions.environments import prepare
    from pytest_hfmodels.versions.installed import read_installed
    from pytest_hfmodels.versions.rows import parse_rows
    from pytest_hfmodels.versions.running import Processes

    installed, before = read_installed(), used(folder)
    for row in parse_rows(rows, without=WITHOUT):
        begin = time.monotonic()
        prepare(row, installed, folder / "row", Processes())
        built = time.monotonic()
        prepare(row, installed, folder / "row", Processes())
        again = time.monotonic()
        after = used(folder)
        progress(f"{row.name}: built in {built - begin:.1f} s, {(after - before) / MIB:.0f} MiB more")
        yield Built(row.name, built - begin, again - built, after - before)
        before = after


def used(folder: Path) -> int:
    """Return the bytes that a folder takes on disk; hard links count once."""
    found: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in (".", *names):
            status = Path(parent, name).lstat()
            found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def time_pairs(rows: Sequence[str], tests: Sequence[str], jobs: int, pairs: int, folder: Path) -> Iterator[Pair]:
    """Time the matrix and the sessions back to back, the matrix first in every other pair."""
    # A first run compiles its imports; a first session also builds its environment.
    time_matrix(rows, tests, jobs, folder)
    time_sessions(rows[-1:], tests, folder)
    for number in range(pairs):
        if number % 2:
            sessions = time_sessions(rows, tests, folder)
        matrix, own = time_matrix(rows, tests, jobs, folder)
        again, _ = time_matrix(rows, tests, jobs, folder, "--reuse")
        if not number % 2:
            sessions = time_sessions(rows, tests, folder)
        progress(f"pair {number + 1} of {pairs}: matrix {matrix:.1f} s, its pytests {own:.1f} s, nox {sessions:.1f} s")
        yield Pair(matrix, own, again, sessions)


def time_matrix(
    rows: Sequence[str], tests: Sequence[str], jobs: int, folder: Path, how: str = "--restart"
) -> tuple[float, float]:
    """Return the seconds of a matrix, and those of its rows' pytest in all."""
    grid = folder / "grid.json"
    options = [option for name in WITHOUT for option in ("--without", name)]
    passed_on = ("--", "--hfmodels-engines", "torch", *tests)
    program = str(Path(sys.executable).with_name("hfmodels"))
    command = (program, "matrix", *rows, *options, how, "-j", str(jobs), "--json", str(grid), *passed_on)
    run = Command("hfmodels matrix", command).run()
    return run.seconds, sum(row["seconds"] for row in json.loads(grid.read_text(encoding="utf-8"))["rows"])


def time_sessions(rows: Sequence[str], tests: Sequence[str], folder: Path) -> float:
    """Return the seconds of a plain session for every row, one after the other."""
    nox = (sys.executable, "-m", "nox", "-f", str(ROOT / "noxfile.py"), "--envdir", str(folder / "nox"))
    return sum(Command(f"nox, {row}", (*nox, "-s", "row", "--", row, *tests)).run().seconds for row in rows)


def report_environments(built: Sequence[Built]) -> None:
    """Print what each environment cost."""
    print("\nenvironments, one after the other, from an empty cache; hard links count once\n")
    lines = [(one.row, f"{one.seconds:.1f}", f"{one.again:.1f}", f"{one.added / MIB:.0f}") for one in built]
    print(table(("environment", "s", "s again", "MiB new, cache and all"), lines))


def report_pairs(pairs: Sequence[Pair], rows: int, jobs: int, tests: Sequence[str]) -> None:
    """Print the seconds and both ratios."""
    print(f"\n{rows} rows, {jobs} at once, {' '.join(tests)}, {len(pairs)} pairs; median (least-greatest)\n")
    floor = Spread.of(pair.rows / jobs for pair in pairs)
    over = Spread.of(pair.matrix / (pair.rows / jobs) for pair in pairs)
    against = Spread.of(pair.matrix / pair.sessions for pair in pairs)
    again = Spread.of(pair.again for pair in pairs)
    lines = [
        ("matrix over kept environments", Spread.of(pair.matrix for pair in pairs).show(1), ""),
        ("its rows' own pytest / jobs", floor.show(1), over.show()),
        ("plain nox sessions, in turn", Spread.of(pair.sessions for pair in pairs).show(1), against.show()),
        ("the matrix again, --reuse", again.show(1), Spread.of(pair.matrix / pair.again for pair in pairs).show()),
    ]
    print(table(("", "s", "the matrix over it"), lines))
    print(f"\nThe matrix over its rows' own pytest: {over.middle:.2f}, limit {LIMIT}: {verdict(over.middle, LIMIT)}")
    each = again.middle / rows
    print(f"Again, with nothing changed: {each:.2f} s a row, limit {REUSE_LIMIT:.2f}: {verdict(each, REUSE_LIMIT)}")


if __name__ == "__main__":
    raise SystemExit(main())
