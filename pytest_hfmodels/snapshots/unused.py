"""Snapshot files that belong to no test, and ledger entries that are about nothing: for the commands."""

from __future__ import annotations

from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.array_storage import MADE_BY
from pytest_hfmodels.kinds.comparison import compare
from pytest_hfmodels.kinds.tolerance import tolerance_of
from pytest_hfmodels.snapshots.collected import collect_project
from pytest_hfmodels.snapshots.format import array_digest, read_snapshot
from pytest_hfmodels.snapshots.ledger import Break, Change, Removal, matches_test
from pytest_hfmodels.snapshots.project import find_project
from pytest_hfmodels.snapshots.toml_reader import read_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.snapshots.collected import Collected
    from pytest_hfmodels.snapshots.ledger import Ledger, LedgerEntry


def find_orphans(arguments: Sequence[str] = ()) -> list[Path]:
    """Return the snapshot files of this project that no collected test could use, relative to the current folder.

    Args:
        arguments: what to collect, as pytest takes it. With any, only files below the folders that mirror the
            collected test files are looked at.

    Raises:
        SnapshotError: the collection fails, so the orphans are unknown.
    """
    if any("::" in argument for argument in arguments):
        raise SnapshotError(
            "hfmodels orphans takes test files and folders: one test says nothing about the others in its file.",
            hint="Name the file, or nothing for the whole project.",
        )
    project = find_project()
    collected = collect_project(project.root, arguments)
    folders = {project.root / file.parent for file in collected.owned} if arguments else {project.snapshots}
    found = [
        *(file for folder in folders for file in folder.rglob("*.toml") if _is_ours(file, project.snapshots)),
        *(file for folder in folders for file in folder.rglob("*.safetensors") if _is_array_file(file)),
    ]
    return sorted(
        Path(relpath(file))
        for file in found
        if not (_is_named(file) and collected.may_own(file.with_suffix(".toml"), project.snapshots))
    )


def _is_array_file(file: Path) -> bool:
    """Return whether a file is one that was written beside a snapshot: others may keep weights there, too."""
    with file.open("rb") as content:
        return content.read(len(MADE_BY) + 8)[8:] == MADE_BY


def _is_named(file: Path) -> bool:
    """Return whether a file is a snapshot, or is named by the one that it lies beside."""
    if file.suffix == ".toml":
        return True
    try:
        found = read_toml(file.with_suffix(".toml"), hint="")
    except SnapshotError:
        return True
    return found is not None and array_digest(found.values) is not None


def _is_ours(file: Path, folder: Path) -> bool:
    """Return whether a file is a base: others may keep TOML there too, and variants belong to the ledger."""
    if Path(relpath(file, folder)).parts[0] == "variants":
        return False
    try:
        found = read_toml(file, hint="")
    except SnapshotError:
        return False
    return found is not None and {"format", "kind", "provenance"} <= found.values.keys()


def find_unused_entries(ledger: Ledger, root: Path) -> list[tuple[LedgerEntry, str]]:
    """Return the entries that no test of the project is about, or whose variants say what the base says, and why.

    Args:
        ledger: all entries: an unused one is unused in every release.
        root: of the project.

    Raises:
        SnapshotError: the project cannot be collected, or a file cannot be read.
    """
    collected = collect_project(root)
    return [(entry, reason) for entry in ledger.entries for reason in _reasons(entry, ledger.path.parent, collected)]


def _reasons(entry: LedgerEntry, folder: Path, collected: Collected) -> Iterator[str]:
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
        if not collected.may_own(base, folder):
            yield f"has a variant that belongs to no test: {relpath(path)}"
        elif not base.exists():
            yield f"has a variant without a base: {relpath(path)}"
        elif _is_same(base, path):
            yield f"has a variant that says the same as the base: {relpath(path)}"


def _is_same(base: Path, variant: Path) -> bool:
    before, now = read_snapshot(base), read_snapshot(variant)
    if before is None or now is None:
        return False
    then, here = before.record.provenance, now.record.provenance
    tolerance = tolerance_of(then, here, same_engine=then.engine == here.engine)
    return compare(before.record, now.record, tolerance).verdict is Verdict.SAME
