from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.reports.grid_html import grid_section
from pytest_hfmodels.versions.environments import ChangedPackage
from pytest_hfmodels.versions.last_grid import last_grid
from pytest_hfmodels.versions.results import Cell, RowResult, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def keep(root: Path, run: str, *names: str, finished: bool = True, at: float = 1_000_000.0) -> Path:
    """Leave what a matrix leaves, a row a second."""
    folder = root / ".pytest_cache" / "hfmodels" / "matrix" / run
    (folder / "results").mkdir(parents=True)
    for number, name in enumerate(names):
        file = folder / "results" / f"{9 - number}.json"
        file.write_text(json.dumps(RowResult(name, cells={"test_it.py::test": Cell(State.SAME)}).to_data()))
        os.utime(file, (at + number, at + number))
    (folder / "run.json").write_text(json.dumps({"fingerprint": "f", "finished": finished}))
    os.utime(folder / "run.json", (at + 9, at + 9))
    return folder


def test_the_newest_matrix_is_shown_with_its_releases_in_their_order(tmp_path: Path) -> None:
    keep(tmp_path, "older", "current", at=1.0)
    keep(tmp_path, "newer", "transformers==5.0.0", "transformers==4.9.0", "transformers==4.57.6")

    found = last_grid(tmp_path, pytest.fail)

    assert found is not None
    grid, when = found
    assert [row.name for row in grid.rows] == ["transformers==4.9.0", "transformers==4.57.6", "transformers==5.0.0"]
    assert grid.rows[0].cells == {"test_it.py::test": Cell(State.SAME)}
    assert (grid.interrupted, when.timestamp()) == (False, 1_000_002.0)


def test_other_rows_stand_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    keep(tmp_path, "a", "current", "transformers>=5", "torch==2.0", finished=False)

    found = last_grid(tmp_path, pytest.fail)

    assert found is not None
    assert [row.name for row in found[0].rows] == ["current", "transformers>=5", "torch==2.0"]
    assert found[0].interrupted


@pytest.mark.parametrize("content", ["{", "[]", '{"name": 1}'])
def test_what_cannot_be_read_is_no_grid(tmp_path: Path, content: str) -> None:
    folder = keep(tmp_path, "a", "current")
    (folder / "results" / "9.json").write_text(content)

    assert last_grid(tmp_path, str) is None


def damaged() -> Iterator[tuple[str, Any]]:
    """Yield invalid rows: each field of each part with a value of every other type."""
    whole = RowResult(
        "current",
        {"a": "1"},
        (ChangedPackage("b", "1", None),),
        {"test_it.py::test": Cell(State.CHANGED, "r", "k", 1.0, "d")},
    ).to_data()
    odd: tuple[Any, ...] = (None, True, 7, 1.5, "x", [], [1], {}, {"a": 1}, {"a": {}}, [["b"]], [[1, 2, 3]], ["abc"])
    for name in whole:
        for value in odd:
            yield f"{name} is {value!r}", {**whole, name: value}
    for name in whole["cells"]["test_it.py::test"]:
        for value in odd:
            cell = {**whole["cells"]["test_it.py::test"], name: value}
            yield f"cell's {name} is {value!r}", {**whole, "cells": {"test_it.py::test": cell}}
    yield "a number of hundreds of digits", {**whole, "seconds": 10**400}


def test_a_row_with_invalid_fields_is_left_out_and_reported(tmp_path: Path) -> None:
    folder = keep(tmp_path, "a", "current", "transformers==5.0.0")
    for what, data in damaged():
        (folder / "results" / "9.json").write_text(json.dumps(data))
        problems: list[str] = []

        found = last_grid(tmp_path, problems.append)

        assert found is not None, what
        grid_section(found[0], "title")
        left_out = [row.name for row in found[0].rows] == ["transformers==5.0.0"]
        assert left_out == (len(problems) == 1), (what, problems)
        assert left_out or RowResult.from_data(data).to_data() == data, what


@pytest.mark.parametrize("kind", ["deep", "large", "fifo", "folder", "link", "time", "digits"])
def test_a_file_that_is_not_a_row_is_left_out_and_reported(tmp_path: Path, kind: str) -> None:
    folder = keep(tmp_path, "a", "current", "transformers==5.0.0")
    file = folder / "results" / "9.json"
    file.unlink()
    if kind == "deep":
        file.write_text("[" * 100_000)
    elif kind == "large":
        with file.open("wb") as opened:
            opened.truncate(1 << 40)
    elif kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(file)
    elif kind == "digits":
        file.write_text('{"seconds": ' + "9" * 10_000 + "}")
    else:
        file.write_text(json.dumps(RowResult("current").to_data()))
        os.utime(file, (2**40, 2**40))
    problems: list[str] = []

    found = last_grid(tmp_path, problems.append)

    assert found is not None
    if kind == "time":
        assert (len(found[0].rows), problems) == (2, [])
    else:
        assert [row.name for row in found[0].rows] == ["transformers==5.0.0"]
        assert len(problems) == 1
        assert "9.json" in problems[0]


def test_a_project_that_has_run_no_matrix_has_none(tmp_path: Path) -> None:
    assert last_grid(tmp_path, str) is None
