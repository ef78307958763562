"""Commands in projects that keep no cache, or whose ledger cannot be read."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main

from ..pending_project import git, run

if TYPE_CHECKING:
    from ..project import Project

ONE = """
from tests.example_records import STEPS, generation, moved

def test_reply(hf_snapshot):
    assert generation(moved(1, by={by})) == hf_snapshot
"""


@pytest.mark.parametrize("command", ["pending", "diff", "accept", "reject"])
def test_without_a_cache_nothing_can_be_pending_and_that_is_said(
    bare_project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    bare_project.ini("addopts = -p no:cacheprovider")

    assert main([command]) == 2

    said = capsys.readouterr().err
    assert "Nothing can be pending here: pytest's cache, where pending changes are kept, is switched off." in said
    assert "Take `-p no:cacheprovider` out of addopts" in said


def test_without_a_cache_there_is_a_ledger_all_the_same(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_project.ini("addopts = -p no:cacheprovider")

    assert main(["ledger"]) == 0

    assert "no ledger found (snapshots/upstream.toml)" in capsys.readouterr().out


def test_a_project_in_which_pytest_does_not_start_is_said_to_be_one(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_project.ini("addopts = --no-such-option")

    assert main(["pending"]) == 2

    said = capsys.readouterr().err
    assert "pytest does not start here (exit code 4)" in said
    assert "--no-such-option" in said


def test_a_ledger_that_is_no_text_is_called_a_ledger(bare_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = bare_project.write("", "snapshots/upstream.toml")
    path.write_bytes(b"# caf\xe9\n[[change]]\n")

    assert main(["ledger"]) == 2

    said = capsys.readouterr().err
    assert f"{path} cannot be read" in said
    assert "docs/ledger.md shows entries. Correct it, or restore it: git checkout" in said
    assert "napshot-update" not in said


@pytest.fixture
def below(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose changed test is in a subfolder, which is the current folder."""
    (bare_project.path / "below").mkdir()
    for by in (0.0, 1.0):
        bare_project.write(ONE.format(by=by), "below/test_below.py")
        run(bare_project, *(["--snapshot-update"] if not by else []))
    monkeypatch.chdir(bare_project.path / "below")
    return bare_project


@pytest.mark.usefixtures("below")
@pytest.mark.parametrize("name", ["below/test_below.py::test_reply", "test_below.py::test_reply", "below", "."])
def test_a_test_is_found_from_the_current_folder_and_from_the_root(name: str) -> None:
    assert main(["reject", name]) == 0
    assert main(["pending"]) == 0


def test_the_commands_of_a_failed_test_work_where_pytest_was_started(below: Project) -> None:
    result = run(below)

    result.stdout.fnmatch_lines(["*accept it: pytest test_below.py::test_reply --snapshot-update"])
    run(below, "test_below.py::test_reply", "--snapshot-update").assert_outcomes(passed=1)


def test_a_run_of_another_root_names_the_folder_to_go_to(
    below: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    below.write("[pytest]\n", "below/pytest.ini")
    (below.path / "tox.ini").unlink()
    monkeypatch.chdir(below.path)

    result = run(below, "below")

    result.stdout.fnmatch_lines(["1 test to review: hfmodels review; *hfmodels accept (after cd below)"])
    main(["reject", "."])
    capsys.readouterr()
    assert main(["pending"]) == 0
    assert f"nothing is pending in {below.path}" in capsys.readouterr().out
    monkeypatch.chdir(below.path / "below")
    assert main(["pending"]) == 1


def test_the_command_for_a_patch_works_in_a_subfolder(below: Project, capsys: pytest.CaptureFixture[str]) -> None:
    git(below, "init", "-q")
    main(["pending", "--patch", "changes.patch"])

    printed = capsys.readouterr().out.strip().partition("apply it: ")[2]
    subprocess.run(printed, shell=True, check=True, cwd=below.path / "below")

    assert main(["pending"]) == 1  # a patch leaves the list as it is
    run(below).assert_outcomes(passed=1)
