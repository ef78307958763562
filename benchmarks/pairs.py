"""Times two commands in pairs, for the other benchmarks.

Each pair runs both commands back to back, the first one first in every other pair, so that whatever else the machine
does falls on both. Wall seconds of the whole process, its start included, after one run of each as a warm-up; and its
CPU seconds, which are steadier where the machine is not quiet.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent

# Variables that would change the measurement, or leak one environment into another.
_UNSET = (
    "COVERAGE_PROCESS_START",
    "PYTEST_ADDOPTS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
    "PYTEST_PLUGINS",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "USE_TF",
    "USE_TORCH",
)
_SHOWN = 25  # lines of a failed command's output


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Args:
        seconds: wall time.
        cpu_seconds: user and system time, of its children too.
        output: what it printed.
    """

    seconds: float
    cpu_seconds: float
    output: str

    @property
    def last_line(self) -> str:
        """The last line that is not blank."""
        return next((line.strip() for line in reversed(self.output.splitlines()) if line.strip()), "")


@dataclass(frozen=True)
class Command:
    """A command to time.

    Args:
        name: what the table calls it.
        arguments: the program and its arguments.
        folder: where it runs.
        variables: environment variables set for it.
    """

    name: str
    arguments: tuple[str, ...]
    folder: Path = ROOT
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> Run:
        """Run it once.

        Raises:
            SystemExit: it failed; with the end of its output.
        """
        cpu, start = children_seconds(), time.perf_counter()
        done = subprocess.run(
            self.arguments,
            cwd=self.folder,
            env={**clean_environment(), **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            end = "\n".join(done.stdout.splitlines()[-_SHOWN:])
            raise SystemExit(f"{end}\n\n{self.name!r} failed with exit code {done.returncode}: nothing was measured.")
        return Run(seconds, children_seconds() - cpu, done.stdout)


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some values."""

    middle: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of at least one value."""
        found = sorted(values)
        return cls(median(found), found[0], found[-1])

    def show(self, digits: int = 2) -> str:
        """Return it as text: `1.20 (1.10-1.40)`."""
        return f"{self.middle:.{digits}f} ({self.least:.{digits}f}-{self.greatest:.{digits}f})"

    def scaled(self, factor: float) -> Spread:
        """Return it in another unit."""
        return Spread(self.middle * factor, self.least * factor, self.greatest * factor)


@dataclass(frozen=True)
class Pairs:
    """What two commands took, pair by pair.

    Args:
        base: the name of the one compared with.
        other: the name of the one compared.
        runs: (base, other) of every pair.
    """

    base: str
    other: str
    runs: tuple[tuple[Run, Run], ...]

    @property
    def base_seconds(self) -> Spread:
        """Wall seconds of the base."""
        return Spread.of(base.seconds for base, _ in self.runs)

    @property
    def other_seconds(self) -> Spread:
        """Wall seconds of the other."""
        return Spread.of(other.seconds for _, other in self.runs)

    @property
    def difference(self) -> Spread:
        """Other less base, pair by pair, wall seconds."""
        return Spread.of(other.seconds - base.seconds for base, other in self.runs)

    @property
    def cpu_difference(self) -> Spread:
        """Other less base, pair by pair, CPU seconds."""
        return Spread.of(other.cpu_seconds - base.cpu_seconds for base, other in self.runs)

    @property
    def ratio(self) -> Spread:
        """Other over base, pair by pair, of wall seconds."""
        return Spread.of(other.seconds / base.seconds for base, other in self.runs)


def run_pairs(base: Command, other: Command, pairs: int) -> Pairs:
    """Time two commands `pairs` times each, alternately, after one untimed run of both."""
    base.run()
    other.run()
    runs = []
    for number in range(pairs):
        if number % 2:
            second = other.run()
            first = base.run()
        else:
            first = base.run()
            second = other.run()
        runs.append((first, second))
        progress(
            f"pair {number + 1} of {pairs}: {base.name} {first.seconds:.2f} s, {other.name} {second.seconds:.2f} s"
        )
    return Pairs(base.name, other.name, tuple(runs))


def children_seconds() -> float:
    """Return the CPU seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def clean_environment() -> dict[str, str]:
    """Return this process's environment without variables that would change the measurement."""
    return {name: value for name, value in os.environ.items() if name not in _UNSET}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return lines of aligned columns under `header`."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def pairs_table(measured: Iterable[Pairs], digits: int = 2) -> str:
    """Return a table of medians with the least and the greatest, in seconds, and the ratios."""
    return table(
        ("base", "s", "compared", "s", "ratio"),
        (
            (
                pairs.base,
                pairs.base_seconds.show(digits),
                pairs.other,
                pairs.other_seconds.show(digits),
                pairs.ratio.show(),
            )
            for pairs in measured
        ),
    )


def verdict(value: float, limit: float) -> str:
    """Say whether a figure is within its limit."""
    return "within" if value <= limit else "over"


def progress(text: str) -> None:
    """Show the progress of a measurement on stderr."""
    print(text, file=sys.stderr, flush=True)
