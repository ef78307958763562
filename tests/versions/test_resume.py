from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.versions.installed import Installed
from pytest_hfmodels.versions.resume import fingerprint
from pytest_hfmodels.versions.rows import parse_rows

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = Installed({}, {})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("where", ["row", "--with", "wheel"])
def test_a_file_of_a_tree_that_a_row_asks_for_counts(where: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").write_text("[project]\nname = 'lib'\n")
    changing = tree / ("lib-1.0-py3-none-any.whl" if where == "wheel" else "lib.py")
    changing.write_text("1")
    (tmp_path / "row.txt").write_text(f"-e {tree}\n" if where == "row" else "six==1.0\n")
    with_ = {"row": [], "--with": [str(tree)], "wheel": [str(changing)]}[where]
    (row,) = parse_rows([str(tmp_path / "row.txt")], with_)
    before = fingerprint([], NOTHING, requirements=row.requirements)
    changing.write_text("changed")

    assert fingerprint([], NOTHING, requirements=row.requirements) != before


def test_a_file_below_a_linked_folder_counts(project: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (project / "linked").symlink_to(shared)
    before = fingerprint([], NOTHING)
    (shared / "data.txt").write_text("changed")

    assert fingerprint([], NOTHING) != before


def test_a_conftest_above_a_package_of_the_project_counts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = project / "packages" / "bot"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text("[project]\nname = 'bot'\n")
    monkeypatch.chdir(package)
    before = fingerprint([], NOTHING)
    (project / "conftest.py").write_text("changed = 1\n")

    assert fingerprint([], NOTHING) != before


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("how", ["named", "--rootdir"])
def test_a_conftest_of_another_project_whose_tests_are_named_counts(how: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "tests").mkdir(parents=True)
    (other / "pytest.ini").touch()
    arguments = [str(other / "tests")] if how == "named" else [f"--rootdir={other}"]
    before = fingerprint(arguments, NOTHING)
    (other / "conftest.py").write_text("changed = 1\n")

    assert fingerprint(arguments, NOTHING) != before
