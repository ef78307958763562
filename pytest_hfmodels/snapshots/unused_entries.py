"""Ledger entries that are about nothing: found by collecting the project, and by reading every variant."""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.comparison import compare
from pytest_hfmodels.kinds.tolerance import tolerance_for
from pytest_hfmodels.snapshots.collected import collect_project
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.ledger import Break, Change, Ledger, Removal, matches_test
from pytest_hfmodels.snapshots.toml_reader import read_file
from pytest_hfmodels.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_hfmodels.snapshots.collected import Collected
    from pytest_hfmodels.snapshots.ledger import Entry


def idle_entries(ledger: Ledger) -> list[tuple[Entry, str]]:
    """Return the entries that no test of the project is about, or whose variants say what the base says, and why.

    Args:
        ledger: all entries: an idle one is idle in every release.

    Raises:
        SnapshotError: the project cannot be collected, or a file cannot be read.
    """
    collected = collect_project()
    return [(entry, reason) for entry in ledger.entries for reason in _reasons(entry, ledger.path.parent, collected)]


def _reasons(entry: Entry, folder: Path, collected: Collected) -> Iterator[str]:
    if isinstance(entry, Break | Removal):
        for pattern in entry.tests:
            if not any(matches_test(pattern, nodeid) for nodeid in collected.nodeids):
                yield f"names tests that do not exist: {pattern}"
            elif not any(matches_test(pattern, nodeid) for nodeid in collected.using):
                yield f"has no effect on tests that use no fixture of this plugin: {pattern}"
    elif isinstance(entry, Change):
        yield from _variants(folder / entry.folder, folder, collected)


def _variants(own: Path, folder: Path, collected: Collected) -> Iterator[str]:
    files = sorted(own.rglob("*.toml"))
    if not files:
        yield f"keeps its snapshots in {relpath(own)}, and there are none"
    for path in files:
        base = folder / path.relative_to(own)
        text, varied = read_file(base), read_file(path)
        if not collected.may_own(base):
            yield f"has a variant that belongs to no test: {relpath(path)}"
        elif text is None:
            yield f"has a variant without a base: {relpath(path)}"
        elif _same(text, base, varied or "", path):
            yield f"has a variant that says the same as the base: {relpath(path)}"


def _same(text: str, base: Path, varied: str, variant: Path) -> bool:
    before, now = load(text, base), load(varied, variant)
    tolerance = tolerance_for(now.provenance.dtype, same_engine=before.provenance.engine == now.provenance.engine)
    return compare(before, now, tolerance).verdict is Verdict.SAME
