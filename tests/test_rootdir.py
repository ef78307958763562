from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels import CheckpointError
from pytest_hfmodels.checkpoints.folders import local_folder

if TYPE_CHECKING:
    from pathlib import Path

    from .project import Project

TEST = "def test_it(request):\n    assert request.config.rootpath == request.path.parent\n"


@pytest.fixture
def outside(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of an earlier run, outside the project."""
    project.write(TEST)
    file = tmp_path_factory.mktemp("elsewhere") / "report.json"
    file.write_text("{}", encoding="utf-8")
    return file


@pytest.mark.parametrize("option", ["--hfmodels-json", "--hfmodels-patch"])
def test_a_value_that_moves_the_root_is_refused_with_a_hint(project: Project, outside: Path, option: str) -> None:
    result = project.run(option, str(outside))

    result.stderr.fnmatch_lines(
        [f"*pytest takes {outside}, the file of {option}, for a path to be tested, so it takes *"]
    )
    result.stderr.fnmatch_lines([f"*{option}={outside}*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_value_with_an_equals_sign_moves_nothing(project: Project, outside: Path) -> None:
    project.run(f"--hfmodels-json={outside}").assert_outcomes(passed=1)


def test_a_value_that_does_not_move_the_root_is_accepted(project: Project, outside: Path) -> None:
    project.write("{}", "report.json")

    project.run("--hfmodels-json", "report.json").assert_outcomes(passed=1)
    project.run("--hfmodels-json", str(outside.with_name("new.json"))).assert_outcomes(passed=1)
    project.run("--hfmodels-json", str(outside), f"--rootdir={project.path}").assert_outcomes(passed=1)


def test_a_root_above_is_the_same_with_a_value_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("{}", "report.json")
    project.write("def test_it(): pass", "below/test_below.py")
    project.write("[project]\nname = 'below'\n", "below/pyproject.toml")
    monkeypatch.chdir(project.path / "below")

    project.run("--hfmodels-json", "../report.json").assert_outcomes(passed=1)


def test_an_ini_file_below_that_is_passed_by_is_noticed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("{}", "report.json")
    project.write("def test_it(): pass", "below/test_below.py")
    project.write("[tool.pytest.ini_options]\n", "below/pyproject.toml")
    monkeypatch.chdir(project.path / "below")

    result = project.run("--hfmodels-json", "../report.json")

    result.stderr.fnmatch_lines(["*pytest takes ../report.json, the file of --hfmodels-json, *"])


def test_a_snapshot_below_another_root_is_named_with_both_roots(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = "from tests.example_records import generation\ndef test_it(hf_snapshot): assert generation() == hf_snapshot"
    bare_project.write("[pytest]", "below/pytest.ini")
    bare_project.write(test, "below/tests/test_below.py")
    below = bare_project.path / "below"
    monkeypatch.chdir(below)
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)

    result = bare_project.run("--rootdir=..")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*root is {bare_project.path}, but {below} has a snapshot*--rootdir={below}*"])


def test_a_checkpoint_in_the_current_folder_and_not_in_the_root_is_named(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write("{}", "below/model/config.json")
    monkeypatch.chdir(bare_project.path / "below")

    with pytest.raises(CheckpointError, match=f"pytest's root, {bare_project.path}[.] The current folder has it"):
        local_folder("./model", bare_project.path)
