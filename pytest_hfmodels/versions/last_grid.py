"""The grid that the last `hfmodels matrix` of a project left behind, for a page that shows it beside a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from os.path import relpath
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


_WHY = 200  # characters of a reason
_LARGEST = 64_000_000  # bytes of a row's file; thousands of tests take a few million
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp() - 86400


def last_grid(root: Path, complain: Callable[[str], object]) -> tuple[Grid, datetime] | None:
    """Return the grid of the matrix that was run last, and when; None where none is left.

    Rows that are releases of one package stand in the order of the releases, others in the order in which they ended:
    the order they were asked for in is not kept. Nor are pytest's arguments.

    Args:
        root: of the project.
        complain: called with a sentence for each file that is left out.
    """
    runs = sorted((root / ".pytest_cache" / "hfmodels" / "matrix").glob("*/run.json"), key=_when, reverse=True)
    for run in runs:
        files = sorted((run.parent / "kept").glob("*.json"), key=_when)
        rows = {row.name: row for file in files if (row := _row(file, root, complain)) is not None}
        if rows:
            ended = datetime.fromtimestamp(_when(files[-1]), UTC)
            return Grid(tuple(_in_order(list(rows.values()))), interrupted=not _is_finished(run)), ended
    return None


def _in_order(rows: list[RowResult]) -> list[RowResult]:
    releases = {row.name: release for row in rows if (release := _release(row.name)) is not None}
    if len(releases) < len(rows) or len({package for package, _ in releases.values()}) > 1:
        return rows
    return sorted(rows, key=lambda row: releases[row.name][1])


def _release(name: str) -> tuple[str, Version] | None:
    try:
        found = Requirement(name)
    except InvalidRequirement:
        return None
    exact = [clause.version for clause in found.specifier if clause.operator == "==" and "*" not in clause.version]
    return (found.name, Version(exact[0])) if len(exact) == len(found.specifier) == 1 else None


def _row(file: Path, root: Path, complain: Callable[[str], object]) -> RowResult | None:
    try:
        return RowResult.from_data(_read(file))
    except (OSError, ValueError, RecursionError) as error:  # from another release of the plugin, or not from the plugin
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        complain(f"{relpath(file, root)} is left out of the matrix: {why[:_WHY]}. Run hfmodels matrix again.")
        return None


def _is_finished(run: Path) -> bool:
    try:
        found = _read(run)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("finished") is True


def _read(file: Path) -> object:
    """Return the JSON of a regular file of limited size.

    Raises:
        OSError, ValueError, RecursionError: it is not one, or cannot be read.
    """
    if not file.is_file():
        raise ValueError("it is not a regular file")
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST:,} bytes")
    return json.loads(file.read_text(encoding="utf-8"))


def _when(file: Path) -> float:
    try:
        return min(max(file.stat().st_mtime, 0.0), _LATEST)
    except OSError:
        return 0.0
