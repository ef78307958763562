from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
        [f"*pytest takes {outside}, the file of {option}, for a path to be tested, and with it *"]
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
