from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.versions.installed import Installed
from pytest_hfmodels.versions.resume import fingerprint
from pytest_hfmodels.versions.rows import parse_rows

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "changed",
    [
        "packages/bot/lib.py",
        "conftest.py",
        "../shared/data.txt",
        "../tree/lib.py",
        "../lib-1.0-py3-none-any.whl",
        "../named/conftest.py",
        "../rootdir/conftest.py",
    ],
)
def test_an_interrupted_run_starts_over_if_a_file_changed(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current folder is a package in the project; rows ask for a tree and a wheel, pytest's arguments for more."""
    project, wheel = tmp_path / "project", tmp_path / "lib-1.0-py3-none-any.whl"
    for folder in ("project/packages/bot", "shared", "tree", "named/tests", "rootdir"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("project/pytest.ini", "named/pytest.ini", "rootdir/pytest.ini", "project/packages/bot/setup.py"):
        (tmp_path / file).touch()
    wheel.touch()
    (project / "linked").symlink_to(tmp_path / "shared")
    (tmp_path / "shared" / "back").symlink_to(project)
    monkeypatch.chdir(project / "packages" / "bot")
    (row,) = parse_rows([str(tmp_path / "tree")], [str(wheel)])
    arguments = [str(tmp_path / "named" / "tests"), f"--rootdir={tmp_path / 'rootdir'}"]

    def state() -> str:
        return fingerprint(arguments, Installed({}, {}), row.requirements, [project / "report.html"])

    before = state()
    (project / "report.html").write_text("written by the command")
    assert state() == before
    (project / changed).write_text("changed")
    assert state() != before
