"""Snapshot files that belong to no test: found by collecting the project and asking every test for its file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.snapshots.collected import collect_project
from pytest_hfmodels.snapshots.format import parse
from pytest_hfmodels.snapshots.toml_reader import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
            "hfmodels orphans takes test files and folders: one test says nothing of the others in its file.",
            hint="Name the file, or nothing for the whole project.",
        )
    collected = collect_project(arguments)
    folders = {file.parent for file in collected.files} if arguments else {collected.folder}
    return sorted(
        Path(os.path.relpath(file)) for folder in folders for file in _snapshots(folder) if not collected.may_own(file)
    )


def _snapshots(folder: Path) -> Iterator[Path]:
    """Yield our own files below a folder: others may keep TOML there too, and variants belong to the ledger."""
    for path in folder.rglob("*.toml"):
        if "variants" in path.relative_to(folder).parts[:1]:
            continue
        try:
            values = parse(read_file(path) or "", path)
        except SnapshotError:
            continue
        if {"format", "kind", "provenance"} <= values.keys():
            yield path
