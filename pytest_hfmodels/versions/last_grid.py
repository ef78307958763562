"""The grid of the last `hfmodels matrix` of a project, for the page of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import write_atomically
from pytest_hfmodels.versions import grid_file
from pytest_hfmodels.versions.resume import CACHE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels.versions.grid import Grid

LAST_GRID = CACHE / "last-matrix.json"


def save_grid(root: Path, grid: Grid) -> None:
    """Save a grid as the last one of the project in `root`."""
    write_atomically(root / LAST_GRID, grid_file.dump(grid))


def last_grid(root: Path, complain: Callable[[str], object]) -> tuple[Grid, datetime] | None:
    """Return the grid of the matrix that ran last, and when; None if there is none.

    `complain` is called with a sentence if the file cannot be read.
    """
    file = root / LAST_GRID
    try:
        return grid_file.read(file), datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
    except (OSError, VersionsError, ValueError, OverflowError) as error:
        reason = error.message if isinstance(error, VersionsError) else f"The grid cannot be read: {error}."
        complain(f"{LAST_GRID} is left out: {reason[:200]} Run hfmodels matrix again.")
        return None
