"""Snapshot files that belong to no test: for `hfmodels orphans`."""

from __future__ import annotations

from os.path import relpath
from pathlib import Path

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.kinds.array_storage import MADE_BY
from pytest_hfmodels.snapshots.collected import collect_project
from pytest_hfmodels.snapshots.format import array_digest
from pytest_hfmodels.snapshots.project import find_project
from pytest_hfmodels.snapshots.toml_reader import read_toml


def find_orphans() -> list[Path]:
    """Return the snapshot files of this project that no collected test could use, relative to the current folder.

    Raises:
        SnapshotError: the collection fails, so the orphans are unknown.
    """
    project = find_project()
    collected = collect_project(project.root)
    found = [
        *(file for file in project.snapshots.rglob("*.toml") if _is_ours(file, project.snapshots)),
        *(file for file in project.snapshots.rglob("*.safetensors") if _is_array_file(file)),
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
