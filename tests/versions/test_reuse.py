"""Which rows `hfmodels matrix --reuse` takes, and above all which it does not."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.files import stamp
from pytest_hfmodels.versions import reuse
from pytest_hfmodels.versions.environments import Environment
from pytest_hfmodels.versions.installed import Installed
from pytest_hfmodels.versions.results import Cell, RowResult, State
from pytest_hfmodels.versions.resume import fingerprint
from pytest_hfmodels.versions.reuse import FinishedRows, content
from pytest_hfmodels.versions.rows import Row

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import LibProject

ROW = Row("lib==1.0", ("lib==1.0",))
HERE = Environment(("python",), {"lib": "1.0"}, digest="as installed")
GOOD = RowResult("lib==1.0", cells={"test_lib.py::test_a": Cell(State.SAME)}, exit_code=0)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FinishedRows:
    """The saved rows of a project with a test and a snapshot."""
    project = tmp_path / "project"
    (project / "snapshots").mkdir(parents=True)
    (project / "pytest.ini").touch()
    (project / "test_lib.py").write_text("1")
    (project / "snapshots" / "test_a.toml").write_text("1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(project)
    found = FinishedRows(tmp_path / "finished", ["-q"], lambda: fingerprint([], Installed({}, {}), of=content))
    found.save(ROW, found.depends(HERE), GOOD, [stamp(tmp_path / "model" / "config.json")])
    assert found.find(ROW, found.depends(HERE)) is not None
    return found


def test_a_row_is_taken_if_nothing_changed_even_if_a_file_was_checked_out_again(rows: FinishedRows) -> None:
    os.utime("test_lib.py", (1, 1))

    taken = rows.find(ROW, rows.depends(HERE))

    assert taken is not None
    assert taken.note.startswith("not run again: nothing has changed since 20")
    assert replace(taken, note="") == GOOD


@pytest.mark.parametrize("changed", ["test_lib.py", "snapshots/test_a.toml", "conftest.py", "../model/config.json"])
def test_a_row_is_not_taken_if_a_file_changed(changed: str, rows: FinishedRows, tmp_path: Path) -> None:
    (tmp_path / "project" / changed).write_text("2 ")

    assert rows.find(ROW, rows.depends(HERE)) is None


def test_a_row_is_not_taken_in_a_different_environment(
    rows: FinishedRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows.find(ROW, rows.depends(replace(HERE, digest="installed anew"))) is None
    assert rows.find(replace(ROW, python="3.12"), rows.depends(HERE)) is None
    assert replace(rows, identity=["-x"]).find(ROW, rows.depends(HERE)) is None
    with monkeypatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "7")
        assert rows.find(ROW, rows.depends(HERE)) is None
    with monkeypatch.context() as patch:
        patch.setattr(reuse, "_CPU", tmp_path / "project" / "pytest.ini")
        assert rows.find(ROW, rows.depends(HERE)) is None
    before = rows.depends(HERE)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    empty = rows.depends(HERE)
    (tmp_path / "hub" / "models--a--b" / "snapshots" / "1").mkdir(parents=True)
    assert len({before, empty, rows.depends(HERE)}) == 3


@pytest.mark.parametrize(
    "result",
    [
        replace(GOOD, complete=False),
        replace(GOOD, problem="too little coverage"),
        replace(GOOD, cells={"test_lib.py::test_a": Cell(State.BROKEN)}),
        replace(GOOD, cells={"test_lib.py::test_a": Cell(State.CRASHED)}),
    ],
)
def test_a_row_that_may_differ_next_time_is_not_saved(result: RowResult, rows: FinishedRows) -> None:
    rows.save(ROW, rows.depends(HERE), result, [])

    assert rows.find(ROW, rows.depends(HERE)) is None


def test_a_matrix_runs_only_what_may_have_changed(
    lib_project: LibProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    data, made = tmp_path / "data.txt", tmp_path / "temporary" / "made.txt"
    data.write_text("1")
    lib_project.write(
        "import os\nimport lib\n\ndef test_a():\n"
        f"    assert open({str(data)!r}).read()\n"
        f"    open({str(made)!r}, 'w').close()\n"
        f"    os.close(os.open({str(tmp_path)!r}, os.O_RDONLY))\n"
    )

    def tested(*rows: str) -> list[str]:
        grid = lib_project.matrix(*rows, reuse=True)
        assert [cell.state for row in grid.rows for cell in row.cells.values()] == ["same"] * len(rows)
        noted = [row.name for row in grid.rows if "not run again" in row.note]
        begun = [line.partition(":")[0] for line in lib_project.heard.lines if ": testing" in line]
        assert sorted([*noted, *begun]) == sorted(rows)
        assert sum("not run again" in line for line in lib_project.heard.lines) == len(noted)
        return begun

    assert tested("lib==1.0") == ["lib==1.0"]
    (tmp_path / "another.txt").touch()
    assert tested("lib==1.0", "lib==2.0") == ["lib==2.0"]
    data.write_text("22")
    assert tested("lib==1.0") == ["lib==1.0"]
