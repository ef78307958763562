"""Which rows `hfmodels matrix --reuse` takes, and above all which it does not."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.foundation.files import stamp
from pytest_hfmodels.versions import distributions, reuse
from pytest_hfmodels.versions.environments import Environment
from pytest_hfmodels.versions.installed import Installed
from pytest_hfmodels.versions.results import Cell, RowResult, State
from pytest_hfmodels.versions.resume import fingerprint
from pytest_hfmodels.versions.reuse import FinishedRows, content
from pytest_hfmodels.versions.row_plugin import OpenedFiles
from pytest_hfmodels.versions.rows import Row
from pytest_hfmodels.versions.running import Ended, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    def digest() -> str:
        return fingerprint([], Installed({}, {}), of=content)

    found = FinishedRows(tmp_path / "finished", ["-q"], digest, digest())
    found.save(ROW, found.depends(HERE), GOOD, [stamp(tmp_path / "model" / "config.json")])
    assert found.find(ROW, HERE) is not None
    return found


def next_command(rows: FinishedRows) -> FinishedRows:
    return replace(rows, begun=rows.project())


def test_a_row_is_taken_if_nothing_changed_even_if_a_file_was_checked_out_again(rows: FinishedRows) -> None:
    os.utime("test_lib.py", (1, 1))

    taken = next_command(rows).find(ROW, HERE)

    assert taken is not None
    assert taken.note.startswith("not run again: nothing has changed since 20")
    assert replace(taken, note="") == GOOD


@pytest.mark.parametrize("changed", ["test_lib.py", "snapshots/test_a.toml", "conftest.py", "../model/config.json"])
def test_a_row_is_not_taken_if_a_file_changed(changed: str, rows: FinishedRows, tmp_path: Path) -> None:
    (tmp_path / "project" / changed).write_text("2 ")

    assert next_command(rows).find(ROW, HERE) is None


def test_a_row_is_not_taken_in_a_different_environment(
    rows: FinishedRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows.find(ROW, replace(HERE, digest="installed anew")) is None
    assert rows.find(replace(ROW, python="3.12"), HERE) is None
    assert replace(rows, identity=["-x"]).find(ROW, HERE) is None
    with monkeypatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "7")
        assert rows.find(ROW, HERE) is None
    with monkeypatch.context() as patch:
        patch.setattr(reuse, "_CPU", tmp_path / "project" / "pytest.ini")
        assert rows.find(ROW, HERE) is None
    before = rows.depends(HERE)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    empty = rows.depends(HERE)
    (tmp_path / "hub" / "models--a--b" / "snapshots" / "1").mkdir(parents=True)
    assert len({before, empty, rows.depends(HERE)}) == 3


@pytest.mark.parametrize(
    ("variables", "cache"),
    [
        ({"XDG_CACHE_HOME": "{}"}, "huggingface/hub"),
        ({"HF_HOME": "{}", "XDG_CACHE_HOME": "/nowhere"}, "hub"),
        ({"HUGGINGFACE_HUB_CACHE": "{}"}, "."),
        ({"TRANSFORMERS_CACHE": "$OWN_CACHE", "OWN_CACHE": "{}"}, "."),
    ],
)
def test_a_model_that_was_downloaded_since_is_seen_in_every_cache_that_upstream_takes(
    variables: dict[str, str], cache: str, rows: FinishedRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    before = rows.depends(HERE)

    (tmp_path / cache / "models--a--b" / "snapshots" / "1").mkdir(parents=True)

    assert rows.depends(HERE) != before


def test_a_pipe_among_the_files_of_a_project_is_not_read(rows: FinishedRows) -> None:
    os.mkfifo("pipe")

    assert rows.depends(HERE) == rows.depends(HERE)


def test_an_installed_file_that_somebody_edited_is_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "lib-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Name: lib\nVersion: 1.0\n")
    (about / "RECORD").write_text("lib.py,sha256=x,5\nlib-1.0.dist-info/RECORD,,\n")
    (tmp_path / "lib.py").write_text("a = 1")
    os.utime(tmp_path / "lib.py", (1, 1))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert distribution("lib").version == "1.0"
    before = distributions.listing()

    (tmp_path / "lib.py").write_text("a = 2")
    os.utime(tmp_path / "lib.py", (4e9, 4e9))

    assert distributions.listing()["digest"] != before["digest"]
    assert distributions.listing() == distributions.listing()


def test_what_the_tests_of_a_row_looked_for_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may be relative, or of bytes; a file may be missing then, and a folder may get another one."""
    monkeypatch.setattr(sys, "addaudithook", lambda _: None)  # nobody can remove one
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for name in ("temporary", "project", "data", "model"):
        (tmp_path / name).mkdir()
    for name in ("data/a.txt", "data/b.txt", "model/config.json", "model/model.safetensors"):
        (tmp_path / name).write_text("1")
    opened = OpenedFiles()
    monkeypatch.chdir(tmp_path / "data")
    opened.hear("open", ("a.txt", "r", 0))
    opened.hear("open", (os.fsencode(tmp_path / "data" / "b.txt"), "r", 0))
    opened.hear("open", (str(tmp_path / "missing.txt"), "r", 0))
    opened.hear("open", (3, "r", 0))
    opened.hear("os.listdir", (str(tmp_path / "data"),))
    opened.hear("open", (str(tmp_path / "model" / "config.json"), "r", 0))
    monkeypatch.chdir(tmp_path / "project")

    found = opened.elsewhere(tmp_path / "project")

    assert json.loads(json.dumps(found)) == [[*stamp(Path(name))] for name, _, _ in found]
    names = ["data", "data/a.txt", "data/b.txt", "missing.txt", "model", "model/config.json", "model/model.safetensors"]
    assert [os.path.relpath(name, tmp_path) for name, _, _ in found] == names


def test_a_file_that_somebody_edits_while_a_row_runs_is_never_as_the_tests_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "addaudithook", lambda _: None)  # nobody can remove one
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for name in ("temporary", "project"):
        (tmp_path / name).mkdir()
    names = ("edited", "renamed", "untouched", "written")
    edited, renamed, untouched, written = files = [tmp_path / name for name in names]
    for file in files:
        file.write_text("1")
        os.utime(file, (1e9, 1e9))
    opened = OpenedFiles()
    for file in (edited, renamed, untouched):
        opened.hear("open", (str(file), "r", os.O_RDONLY | os.O_CLOEXEC))
    opened.hear("open", (str(written), "w", os.O_WRONLY | os.O_CREAT))
    opened.hear("os.rename", (str(tmp_path / "new"), renamed, -1, -1))

    for file in (edited, renamed, written):
        file.write_text("2")
    found = opened.elsewhere(tmp_path / "project")

    assert [Path(name).name for name, changed, _ in found if changed == -1] == ["edited"]
    assert [stamp(file) in found for file in files] == [False, True, True, True]


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

    assert rows.find(ROW, HERE) is None


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


@pytest.mark.parametrize(
    ("row", "minutes", "asked"),
    [
        ("lib==1.0", 9, False),
        ("lib==1.0", 11, True),
        ("lib", 9, True),  # the newest release may be another one
    ],
)
def test_the_index_is_asked_again_about_a_row_after_ten_minutes(
    row: str,
    minutes: int,
    asked: bool,
    lib_project: LibProject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lib_project.write("def test_a():\n    pass\n")
    lib_project.matrix(row, reuse=True)
    [saved] = lib_project.path.glob(".pytest_cache/hfmodels/matrix/finished/*.json")
    os.utime(saved, (time.time() - 60 * minutes,) * 2)
    calls: list[Sequence[str]] = []
    run = Processes.run

    def heard(self: Processes, arguments: Sequence[str], **options: Any) -> Ended:
        calls.append(arguments)
        return run(self, arguments, **options)

    monkeypatch.setattr(Processes, "run", heard)

    [found] = lib_project.matrix(row, reuse=True).rows

    assert "not run again" in found.note
    assert [("--offline" in call) for call in calls if "compile" in call] == [not asked]


def test_a_recent_row_is_resolved_again_if_the_cache_of_uv_no_longer_has_it(
    lib_project: LibProject, fake_uv: Callable[[str], None]
) -> None:
    lib_project.write("def test_a():\n    pass\n")
    lib_project.matrix("lib==1.0", reuse=True)
    fake_uv("if 'compile' in arguments and '--offline' in arguments:\n    sys.exit('error: not found')\nuv()\n")

    [found] = lib_project.matrix("lib==1.0", reuse=True).rows

    assert found.problem is None
    assert "not run again" in found.note
