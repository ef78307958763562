"""Decides which files may be written as snapshots, for accepting and for updating."""

from __future__ import annotations

import os
from os.path import abspath, relpath
from pathlib import Path

from pytest_hfmodels.snapshots.location import LEDGER


def why_not_written(path: Path, root: Path, snapshots: Path) -> str | None:
    """Return why a file must not be written as a snapshot, or None if it may be.

    A snapshot is a `.toml` file below the snapshots folder, but not the ledger, and no link in its path leads out of
    that folder.

    Args:
        path: the file; it need not exist.
        root: the project's root.
        snapshots: the folder of all snapshots.
    """
    return _why_not(path, root, snapshots, is_ledger=False)


def why_no_ledger_written(root: Path, snapshots: Path) -> str | None:
    """Return why the ledger must not be written, or None if it may be; arguments as for `why_not_written`."""
    return _why_not(snapshots / LEDGER, root, snapshots, is_ledger=True)


def _why_not(path: Path, root: Path, snapshots: Path, *, is_ledger: bool) -> str | None:
    shown, folder = relpath(snapshots, root), Path(abspath(snapshots))  # noqa: PTH100 - links are checked below
    try:
        place = Path(abspath(path))  # noqa: PTH100
        real_folder, real_place = folder.resolve(), path.resolve()
        if folder.is_relative_to(root) and not real_folder.is_relative_to(root.resolve()):
            return f"{shown} is a link that leads out of the project, to {real_folder}"
        if not place.is_relative_to(folder):
            return f"it is not below {shown}"
        if not real_place.is_relative_to(real_folder):
            return f"a link leads out of {shown}, to {real_place}"
        names = place.relative_to(folder), real_place.relative_to(real_folder)
        if not is_ledger and not all(map(_is_snapshot, names)):
            return "a snapshot must be a .toml file that is not hidden"
        occupied = next(there for there in (real_place, *real_place.parents) if os.path.lexists(there))
        if occupied != real_place and not occupied.is_dir():
            return f"{occupied} is not a folder"
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
        return str(error)
    return None


def _is_snapshot(name: Path) -> bool:
    """Return whether a name below the snapshots folder may be a snapshot's. File systems may ignore case."""
    hidden = any(part.startswith(".") for part in name.parts)
    return name.suffix == ".toml" and not hidden and str(name).casefold() != LEDGER
