"""Commands in projects that keep no cache, or whose ledger cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.cli import main

if TYPE_CHECKING:
    from ..project import Project


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

    assert "there is no ledger yet (snapshots/upstream.toml)" in capsys.readouterr().out


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
    assert f"The ledger {path} cannot be read" in said
    assert "Save it as UTF-8, or restore it" in said
    assert "napshot-update" not in said
