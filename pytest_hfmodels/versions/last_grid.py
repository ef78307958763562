"""The grid that the last `hfmodels matrix` of a project left behind, for a page that shows it beside a run."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from os.path import relpath
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import RowResult
from pytest_hfmodels.versions.resume import RESULTS, STATE, UNREADABLE, read_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_REASON = 200  # characters
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp() - 86400


def last_grid(root: Path, complain: Callable[[str], object]) -> tuple[Grid, datetime] | None:
    """Return the grid of the matrix that ran last, and when; None if there is none.

    Rows that are releases of one package stand in that order, others in the order in which they ended: what was typed
    is not saved. `complain` is called with a sentence for each file that is left out.
    """
    runs = sorted((root / ".pytest_cache" / "hfmodels" / "matrix").glob(f"*/{STATE}"), key=_written, reverse=True)
    for run in runs:
        files = sorted((run.parent / RESULTS).glob("*.json"), key=_written)
        rows = {row.name: row for file in files if (row := _row(file, root, complain)) is not None}
        if rows:
            ended = datetime.fromtimestamp(_written(files[-1]), UTC)
            return Grid(tuple(_in_order(list(rows.values()))), interrupted=not _is_finished(run)), ended
    return None


def _in_order(rows: list[RowResult]) -> list[RowResult]:
    releases = [row.name.partition("==") for row in rows]
    if len({package for package, _, _ in releases}) == 1:
        with suppress(InvalidVersion):
            versions = {row.name: Version(version) for row, (_, _, version) in zip(rows, releases, strict=True)}
            return sorted(rows, key=lambda row: versions[row.name])
    return rows


def _row(file: Path, root: Path, complain: Callable[[str], object]) -> RowResult | None:
    try:
        return RowResult.from_data(read_json(file))
    except UNREADABLE as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        complain(f"{relpath(file, root)} is left out of the matrix: {reason[:_REASON]}. Run hfmodels matrix again.")
        return None


def _is_finished(run: Path) -> bool:
    with suppress(*UNREADABLE):
        found = read_json(run)
        return isinstance(found, dict) and found.get("finished") is True
    return False


def _written(file: Path) -> float:
    with suppress(OSError):
        return min(max(file.stat().st_mtime, 0.0), _LATEST)
    return 0.0
