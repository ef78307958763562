from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.versions.last_grid import last_grid
from pytest_hfmodels.versions.results import Cell, RowResult, State

if TYPE_CHECKING:
    from pathlib import Path


def keep(root: Path, run: str, *names: str, finished: bool = True, at: float = 1_000_000.0) -> Path:
    """Leave what a matrix leaves, a row a second."""
    folder = root / ".pytest_cache" / "hfmodels" / "matrix" / run
    (folder / "kept").mkdir(parents=True)
    for number, name in enumerate(names):
        file = folder / "kept" / f"{9 - number}.json"
        file.write_text(json.dumps(RowResult(name, cells={"test_it.py::test": Cell(State.SAME)}).to_data()))
        os.utime(file, (at + number, at + number))
    (folder / "run.json").write_text(json.dumps({"fingerprint": "f", "finished": finished}))
    os.utime(folder / "run.json", (at + 9, at + 9))
    return folder


def test_the_newest_matrix_is_shown_with_its_releases_in_their_order(tmp_path: Path) -> None:
    keep(tmp_path, "older", "current", at=1.0)
    keep(tmp_path, "newer", "transformers==5.0.0", "transformers==4.9.0", "transformers==4.57.6")

    found = last_grid(tmp_path)

    assert found is not None
    grid, when = found
    assert [row.name for row in grid.rows] == ["transformers==4.9.0", "transformers==4.57.6", "transformers==5.0.0"]
    assert grid.rows[0].cells == {"test_it.py::test": Cell(State.SAME)}
    assert (grid.interrupted, when.timestamp()) == (False, 1_000_002.0)


def test_other_rows_stand_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    keep(tmp_path, "a", "current", "transformers>=5", "torch==2.0", finished=False)

    found = last_grid(tmp_path)

    assert found is not None
    assert [row.name for row in found[0].rows] == ["current", "transformers>=5", "torch==2.0"]
    assert found[0].interrupted


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "x"}'])
def test_what_cannot_be_read_is_no_grid(tmp_path: Path, content: str) -> None:
    folder = keep(tmp_path, "a", "current")
    (folder / "kept" / "9.json").write_text(content)

    assert last_grid(tmp_path) is None


def test_a_project_that_has_run_no_matrix_has_none(tmp_path: Path) -> None:
    assert last_grid(tmp_path) is None
