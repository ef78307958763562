"""The grid that the last `hfmodels matrix` of a project left behind, for a page that shows it beside a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult

if TYPE_CHECKING:
    from pathlib import Path


def last_grid(root: Path) -> tuple[Grid, datetime] | None:
    """Return the grid of the matrix that was run last, and when; None where none is left.

    Rows that are releases of one package stand in the order of the releases, others in the order in which they ended:
    the order they were asked for in is not kept. Nor are pytest's arguments.

    Args:
        root: of the project.
    """
    runs = sorted((root / ".pytest_cache" / "hfmodels" / "matrix").glob("*/run.json"), key=_when, reverse=True)
    for run in runs:
        files = sorted((run.parent / "kept").glob("*.json"), key=_when)
        rows = [row for file in files if (row := _row(file)) is not None]
        if rows:
            ended = datetime.fromtimestamp(_when(files[-1]), UTC)
            return Grid(tuple(_in_order(rows)), interrupted=not _is_finished(run)), ended
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


def _row(file: Path) -> RowResult | None:
    try:
        return RowResult.from_data(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError):  # of another release of ours
        return None


def _is_finished(run: Path) -> bool:
    try:
        return bool(json.loads(run.read_text(encoding="utf-8"))["finished"])
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _when(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
