"""FIFOs and links among pending files and snapshots: accepting and updating neither hang nor write outside."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main

from ..pending_project import change, git, record, run
from ..time_limit import time_limit

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

PENDING = ".pytest_cache/d/hfmodels-pending"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["pending", "snapshot"])
def test_a_fifo_does_not_hang(bare_project: Project, name: str) -> None:
    record(bare_project)
    change(bare_project)
    path = bare_project.snapshot("test_it/test_other.toml")
    if name == "pending":
        path = bare_project.path / PENDING / "fifo.json"
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    with time_limit(8):
        for command in (["pending"], ["diff"], ["accept"]):
            assert main(command) in (0, 1, 2)
        if name == "snapshot":
            run(bare_project).assert_outcomes(failed=2, passed=1)


@pytest.mark.parametrize("command", ["update", "accept"])
@pytest.mark.parametrize("link", ["snapshots", "snapshots/test_it", "snapshots/test_it/test_reply.toml"])
def test_neither_an_update_nor_accept_follows_a_link_out_of_the_project(
    bare_project: Project, tmp_path: Path, command: str, link: str
) -> None:
    record(bare_project)
    change(bare_project)
    place, outside = bare_project.path / link, tmp_path / "outside"
    outside.mkdir()
    place.rename(outside / place.name)
    place.symlink_to(outside / place.name)
    git(bare_project, "add", "-A")
    before = files(outside)

    if command == "accept":
        assert main(["accept", "test_it.py::test_reply"]) == 2
    else:
        result = run(bare_project, "--snapshot-update")
        result.stdout.fnmatch_lines(["*test_reply.toml* was not written: *"])

    assert (files(outside), place.is_symlink()) == (before, True)


@pytest.mark.parametrize("command", ["update", "accept"])
def test_a_link_within_the_snapshots_folder_is_kept(bare_project: Project, command: str) -> None:
    record(bare_project)
    change(bare_project)
    place = bare_project.snapshot()
    place.rename(bare_project.snapshot("shared.toml"))
    place.symlink_to("../shared.toml")

    if command == "accept":
        assert main(["accept"]) == 0
    else:
        run(bare_project, "--snapshot-update").assert_outcomes(passed=3)

    assert place.is_symlink()
    run(bare_project).assert_outcomes(passed=3)


def test_pending_files_are_not_written_through_a_link(bare_project: Project, tmp_path: Path) -> None:
    record(bare_project)
    change(bare_project)
    pending = next((bare_project.path / PENDING).glob("*.json"))
    (tmp_path / "mine").write_text("mine")
    pending.unlink()
    pending.symlink_to(tmp_path / "mine")

    run(bare_project)

    assert (tmp_path / "mine").read_text() == "mine"
    assert main(["accept"]) == 0
