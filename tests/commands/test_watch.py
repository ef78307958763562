"""`hfmodels watch`, in a terminal; its tests use no model, so that it imports nothing slower than NumPy."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.watching import process
from pytest_hfmodels.commands.watching.files import ImportedCode, WatchedFiles
from pytest_hfmodels.commands.watching.loop import Loop

from ..pending_project import change, record
from .test_review import InTerminal

if TYPE_CHECKING:
    from ..project import Project

ROOT = Path(__file__).parents[2]


def test_a_changed_file_starts_a_run_and_a_key_accepts_what_differs(bare_project: Project) -> None:
    record(bare_project)
    bare_project.write("import numpy, accelerate\n", "conftest.py")
    bare_project.write("import plugin_of_ours\n", "accelerate.py")  # a slow package may import somebody's plugin
    bare_project.write("", "plugin_of_ours.py")
    before = bare_project.snapshots
    # pytest warns if a plugin is imported too early.
    arguments = ("-q", "-p", "pytester", "-p", "plugin_of_ours", "-W", "error")
    path = os.pathsep.join(map(str, (ROOT, bare_project.path)))
    terminal = InTerminal(bare_project, "watch", "--", *arguments, environment={"PYTHONPATH": path})
    try:
        terminal.wait_for("Enter run again, q quit > ")
        assert "3 passed" in terminal.text
        assert "importing the same packages" in terminal.text  # NumPy
        terminal.text = ""

        change(bare_project)
        terminal.wait_for("a accept 2, r reject 2")
        assert "test_it.py changed" in terminal.text
        assert "2 failed, 1 passed" in terminal.text
        assert bare_project.snapshots == before
        terminal.type("a")
        terminal.wait_for("2 accepted")
        terminal.wait_for("3 passed")  # the snapshots are files that changed
        assert bare_project.snapshots != before

        terminal.type("q")
        assert terminal.status() == 0
    finally:
        terminal.close()


def test_files_that_two_consecutive_runs_write_are_ignored(bare_project: Project) -> None:
    files = WatchedFiles([])
    bare_project.write("1", "report.json")
    bare_project.write("2", "test_it.py~")  # an editor's copy

    assert [Path(file).name for file in files.changed()] == ["report.json"]
    assert files.changed() == []
    runs = [files.during(partial(bare_project.write, text, "report.json")) for text in ("11", "111", "1111")]
    assert [len(changed) for changed in runs] == [1, 0, 0]
    assert files.during(lambda: bare_project.write("x", "test_it.py")) != []  # somebody saved it meanwhile
    bare_project.write("", "report.json")
    assert len(files.changed()) == 1


def test_the_process_starts_over_if_imported_code_is_edited(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("edited")
    module.__file__ = str(bare_project.write("", "edited.py"))
    code = ImportedCode()
    monkeypatch.setitem(sys.modules, "edited", module)
    code.include()
    assert code.change() is None

    bare_project.write("now = 1", "edited.py")

    assert f"{module.__file__} changed" in str(code.change())


@pytest.mark.parametrize("leaves", ["", "\x04", "\0"])  # closed, Ctrl-D, and Ctrl-D that was typed during the run
@pytest.mark.usefixtures("bare_project")
def test_a_run_that_dies_is_named_and_the_end_of_the_input_leaves(
    leaves: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reads, writes = os.pipe()
    os.write(writes, leaves.encode())
    os.close(writes)
    monkeypatch.setattr(process, "why_not_fork", lambda: None)
    monkeypatch.setattr(process, "fork", lambda *_: -11)
    with open(reads, encoding="utf-8") as keys:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdin", keys)
        assert Loop([]).run() == 0

    said = capsys.readouterr().out
    assert "SIGSEGV" in said
    assert said.count("Enter run again") == 1
    assert "changed" not in said  # the files that the first run imported are watched from then on, and are as they were


@pytest.mark.parametrize(
    ("platform", "threads", "reason"),
    [("darwin", 1, "Linux only"), ("linux", 3, "2 threads"), ("linux", 1, "accelerator"), ("linux", 1, None)],
)
def test_it_does_not_fork_where_forking_is_not_safe(
    platform: str, threads: int, reason: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(threads):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(process, "TASKS", tmp_path)
    monkeypatch.setattr(process, "has_accelerator", lambda: reason == "accelerator")
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))

    found = process.why_not_fork()

    assert found is None if reason is None else reason in str(found)
