"""Forged pending files and committed links: files that accepting and updating must not write."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import change, git, record, run
from ..time_limit import time_limit

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

FORGED = [
    "conftest.py",
    ".git/config",
    "snapshots/../conftest.py",
    "snapshots/test_it/conftest.py",
    "snapshots/upstream.toml",
    "snapshots/Upstream.toml",
    "snapshots/.hidden.toml",
    "snapshots/.git/config.toml",
    "snapshots/test_it/x.TOML",
    "snapshots/out/x.toml",
    "snapshots/out.toml",
    "snapshots/inside.toml",
    "pyproject.toml",
    "snapshots",
    "snapshots/",
    "",
    ".",
    "/dev/null",
    "snapshots/test_it/test_reply.toml/x.toml",
]
TEXTS = ["import os\n", "", "a = 1\n", "[provenance]\n", "a = " + "[" * 5000, "a." * 20_000 + "a = 1"]


def forge(project: Project, **changes: Any) -> None:
    """Change fields of one pending file, and delete the other file."""
    record(project)
    change(project)
    first, *others = sorted((project.path / ".pytest_cache/d/hfmodels-pending").glob("*.json"))
    for file in others:
        file.unlink()
    first.write_text(json.dumps({**json.loads(first.read_text()), **changes}))


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder except git's and the cache's own, and the targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = (os.fsencode(path.readlink()), 0)
        elif path.is_file() and ".pytest_cache" not in name and "__pycache__" not in name:
            found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


def with_links(project: Project, outside: Path) -> None:
    """Create links in the snapshots folder that lead out of it."""
    outside.mkdir()
    folder = project.path / "snapshots"
    (folder / "out").symlink_to(outside)
    (folder / "out.toml").symlink_to(outside / "x.toml")
    (folder / "inside.toml").symlink_to("../conftest.py")


@pytest.mark.parametrize("command", [["accept"], ["pending", "--patch", "-"], ["diff"]], ids=lambda value: value[0])
def test_only_snapshot_files_are_written(
    bare_project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    forge(bare_project)
    places = find_project()
    monkeypatch.setattr("pytest_hfmodels.snapshots.project.find_project", lambda: places)  # starts pytest each time
    with_links(bare_project, tmp_path / "outside")
    bare_project.write("# theirs\n", "conftest.py")
    pending = next((bare_project.path / ".pytest_cache/d/hfmodels-pending").glob("*.json"))
    values = json.loads(pending.read_text())
    outside = str(tmp_path / "outside" / "y.toml")
    before = files(tmp_path), files(bare_project.path)

    for name in (*FORGED, outside):
        for forged in ({"snapshot": name, "compared": name}, {"compared": name}, {"snapshot": name}):
            pending.write_text(json.dumps({**values, "digest": None, **forged}))
            capsys.readouterr()

            assert main(command) == 2, forged

            said = capsys.readouterr()
            assert "hfmodels-pending" in said.err, forged
            assert "+++" not in said.out, forged
            assert (files(tmp_path), files(bare_project.path)) == before, forged


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_only_a_snapshot_is_written(bare_project: Project, capsys: pytest.CaptureFixture[str], text: str) -> None:
    forge(bare_project, text=text)
    before = files(bare_project.path)

    with time_limit(20):
        assert main(["accept"]) == 2
        assert main(["pending"]) in (1, 2)
        main(["pending", "--patch", "-"])

    said = capsys.readouterr()
    assert "not a valid snapshot" in said.err
    assert "+++" not in said.out
    assert files(bare_project.path) == before


@pytest.mark.parametrize("name", ["pending", "snapshot"])
def test_a_fifo_does_not_hang(bare_project: Project, name: str) -> None:
    forge(bare_project)
    path = bare_project.snapshot("test_it/test_other.toml")
    if name == "pending":
        path = bare_project.path / ".pytest_cache/d/hfmodels-pending/fifo.json"
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    with time_limit(8):
        for command in (["pending"], ["diff"], ["accept"]):
            assert main(command) in (0, 1, 2)
        if name == "snapshot":
            run(bare_project).assert_outcomes(failed=2, passed=1)


@pytest.mark.parametrize(
    ("command", "link"),
    [
        ("update", "snapshots"),
        ("update", "snapshots/test_it"),
        ("update", "snapshots/test_it/test_reply.toml"),
        ("accept", "snapshots"),
        ("accept", "snapshots/test_it"),
        ("accept", "snapshots/test_it/test_reply.toml"),
    ],
)
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
    forge(bare_project)
    pending = next((bare_project.path / ".pytest_cache/d/hfmodels-pending").glob("*.json"))
    (tmp_path / "mine").write_text("mine")
    pending.unlink()
    pending.symlink_to(tmp_path / "mine")

    run(bare_project)

    assert (tmp_path / "mine").read_text() == "mine"
    assert main(["accept"]) == 0
