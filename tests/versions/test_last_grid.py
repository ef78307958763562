from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.last_grid import LAST_GRID, last_grid, save_grid
from pytest_hfmodels.versions.results import Cell, RowResult, State

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = Grid(
    (
        RowResult(
            "transformers==5.0.0",
            {"a": "1"},
            (ChangedPackage("b", "1", None), ChangedPackage("c", "1", "2")),
            {"test_it.py::test[a]": Cell(State.CHANGED, "r", "k", 1.0, "d"), "test_it.py::test_b": Cell(State.SAME)},
            "problem",
            "note",
            1.0,
            0,
            complete=False,
            pending=(Pending("t", "changed", "s", "s", None, "d", "text", why=("w",)),),
        ),
        RowResult("current"),
    ),
    ("-k", "a"),
    interrupted=True,
)


def test_the_last_grid_is_kept_with_its_time(tmp_path: Path) -> None:
    save_grid(tmp_path, Grid(()))
    save_grid(tmp_path, WHOLE)
    os.utime(tmp_path / LAST_GRID, (1_000_000, 1_000_000))

    found = last_grid(tmp_path, pytest.fail)

    assert found is not None
    assert (found[0], found[1].timestamp()) == (WHOLE, 1_000_000)


@pytest.mark.parametrize("kind", ["deep", "large", "fifo", "folder", "link", "cut", "list", "field", "digits"])
def test_a_file_that_is_no_grid_is_left_out_and_reported(tmp_path: Path, kind: str) -> None:
    save_grid(tmp_path, WHOLE)
    file = tmp_path / LAST_GRID
    texts = {"deep": "[" * 100_000, "cut": "{", "list": "[]", "field": json.dumps({"format": 3, "rows": [{"name": 1}]})}
    texts |= {"digits": '{"format": 3, "rows": [{"name": "a", "seconds": ' + "9" * 10_000 + "}]}"}
    if kind in texts:
        file.write_text(texts[kind])
    elif kind == "large":
        os.truncate(file, 1 << 40)
    else:
        file.unlink()
        {"fifo": os.mkfifo, "folder": os.mkdir, "link": lambda path: path.symlink_to(path)}[kind](file)
    problems: list[str] = []

    assert last_grid(tmp_path, problems.append) is None
    assert len(problems) == 1
    assert "last-matrix.json" in problems[0]


def test_a_project_that_has_run_no_matrix_has_none(tmp_path: Path) -> None:
    assert last_grid(tmp_path, pytest.fail) is None
