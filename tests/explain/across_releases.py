"""What explanations say between real releases: `python -m tests.explain.across_releases PYTHON PYTHON …`.

Each PYTHON is an interpreter that has the plugin and a release of transformers, oldest first. The suites' snapshots are
recorded with one and compared with the next; every mismatch is printed with its cause, beside what the ledger says of
the releases in between. Exit code 1 where the two do not agree, or something differs of which the ledger knows nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.snapshots.ledger import Change, holds, read_ledger
from tests.explain.expected import CAUSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    *("suites/gpt2/test_beam.py", "suites/gpt2/test_greedy.py", "suites/gpt2/test_defaults.py"),
    *("suites/gpt2/test_classification.py", "suites/transfo_xl/test_language_model.py"),
    *("suites/transfo_xl/test_batches.py", "suites/transfo_xl/test_classification.py"),
)


@dataclass(frozen=True)
class Row:
    """An interpreter and its release of transformers."""

    python: str
    release: str

    @classmethod
    def of(cls, python: str) -> Row:
        code = "from importlib.metadata import version; print(version('transformers'))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        return cls(python, done.stdout.strip())

    def run(self, mode: str, folder: Path, report: Path | None = None) -> None:
        """Record the suites' snapshots into a folder, or compare with it."""
        extra = [] if report is None else [f"--hfmodels-json={report}"]
        command = [self.python, "-m", "pytest", *FILES, "--hfmodels-engines", "torch", "-q", "-p", "no:cacheprovider"]
        subprocess.run(
            [*command, f"--hfmodels-baseline={mode}:{folder}", *extra], cwd=ROOT, capture_output=True, check=False
        )


def main(pythons: Sequence[str]) -> int:
    """Print what each pair of neighbours says."""
    rows = [Row.of(python) for python in pythons]
    wrong = 0
    with TemporaryDirectory() as folder:
        for before, now in pairwise(rows):
            own = Path(folder, before.release)
            before.run("record", own)
            now.run("compare", own, own / "report.json")
            wrong += _told(before, now, json.loads((own / "report.json").read_text(encoding="utf-8")))
    return 1 if wrong else 0


def _told(before: Row, now: Row, report: dict[str, Any]) -> int:
    compared = [(test, found) for test in report["tests"] for found in test["comparisons"]]
    differ = [(test, found) for test, found in compared if found["verdict"] not in ("same", "missing")]
    print(f"\n{before.release} -> {now.release}: {len(compared)} compared, {len(differ)} differ", flush=True)
    wrong = 0
    for test, found in differ:
        known = list(_known(found["snapshot"], before.release, now.release))
        fits = any(found["cause"] == CAUSES.get(change.name, (change.cause, ""))[0] for change in known)
        wrong += not fits
        print(f"  {'ok' if fits else '!!'} {test['id']}: {found['verdict']}, {found['cause']}, drift {found['drift']}")
        print(f"     why: {found['why']}")
        for command in found["suggests"]:
            print(f"     find the release: {command}")
        print(f"     the ledger: {', '.join(change.name for change in known) or 'nothing'}")
    return wrong


def _known(snapshot: str, before: str, now: str) -> Iterator[Change]:
    """Yield the entries that hold for one of two releases, and that have a variant of a snapshot."""
    folder = ROOT / "snapshots"
    for change in read_ledger(folder / "upstream.toml").entries:
        if not isinstance(change, Change):
            continue
        sides = [all(holds(requirement, release) for requirement in change.when) for release in (before, now)]
        name = snapshot.partition("/suites/")[2]
        if sides[0] != sides[1] and (folder / change.folder / "suites" / name).is_file():
            yield change


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
