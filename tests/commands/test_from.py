"""Deciding at home about a CI's run: from its page, its JSON report, its folder of changes, or a zip of them."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.commands.cli import main

from ..pending_project import BUT as REPLY_NOW
from ..pending_project import NOW, REPLY, change, git, pending, record, run
from ..pending_project import TESTS as ONCE

if TYPE_CHECKING:
    from ..project import Project

PENDING = Path(".pytest_cache/d/hfmodels-pending")


@pytest.fixture
def home(bare_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project at home; the reports of a CI's run of it are in `ci/`, and nothing is pending here."""
    monkeypatch.setenv("GITHUB_SHA", "abc")
    record(bare_project)
    bare_project.write(ONCE.format(reply=REPLY_NOW, other=OTHER_NOW))
    run(bare_project, "--hfmodels-html=ci/report.html", "--hfmodels-json=ci/report.json")
    shutil.move(bare_project.path / PENDING, bare_project.path / "ci" / "pending")
    with zipfile.ZipFile(bare_project.path / "ci" / "report.zip", "w") as archive:
        archive.write(bare_project.path / "ci" / "report.html", "artefacts/report.html")
    assert pending(bare_project) == {}
    return bare_project


def touched(project: Project) -> list[str]:
    status = git(project, "status", "--short", "-uall", "snapshots")
    return [line[3:] for line in status.splitlines()]


@pytest.mark.parametrize("source", ["ci/report.html", "ci/report.json", "ci/pending", "ci/report.zip"])
def test_a_test_is_accepted_from_whatever_the_ci_kept(
    home: Project, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pending", "--from", source]) == 1
    assert "2 pending" in capsys.readouterr().out
    assert main(["accept", "--from", source, REPLY]) == 0
    assert touched(home) == ["snapshots/test_it/test_reply.toml"]
    assert main(["pending", "--from", source]) == 1
    assert "1 pending" in capsys.readouterr().out

    assert main(["accept", "--from", source]) == 0

    assert main(["accept", "--from", source]) == 1
    assert "nothing left to decide in ci/" in capsys.readouterr().out
    assert not (home.path / PENDING).exists()
    run(home).assert_outcomes(passed=3)


def test_the_commands_of_a_page_work_as_they_are_printed(home: Project) -> None:
    page = (home.path / "ci" / "report.html").read_text(encoding="utf-8")

    assert f"<code>hfmodels accept --from report.html {REPLY}</code>" in page
    assert "<code>hfmodels review --from report.html</code>" in page


def test_a_snapshot_that_is_another_one_here_is_stale(home: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = home.snapshot("test_it/test_reply.toml")
    path.write_text(path.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")

    assert main(["accept", "--from", "ci/report.html"]) == 2
    assert "has changed since" in capsys.readouterr().err


def test_two_runs_that_differ_are_refused(home: Project, capsys: pytest.CaptureFixture[str]) -> None:
    change(home, reply='swapped(1, Step(16, " you", -0.25, -0.25, 0.5, 15, " I"))')
    shutil.copytree(home.path / PENDING, home.path / "ci" / "other")

    assert main(["pending", "--from", "ci"]) == 2
    assert "two outputs for snapshots/test_it/test_reply.toml" in capsys.readouterr().err


def page_with(changes: Any) -> bytes:
    packed = base64.b64encode(zlib.compress(json.dumps(changes).encode())).decode()
    return f'<data id="pending" value="{packed}" hidden></data>'.encode()


def of_a_stranger(**values: Any) -> dict[str, Any]:
    path = "snapshots/test_it/test_reply.toml"
    known = {"test": REPLY, "verdict": "changed", "snapshot": path, "compared": path, "entry": None, "digest": None}
    return {**known, "text": "format = 1\n", **values}


def bomb() -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(4)), packer.flush()])
    return f'<data id="pending" value="{base64.b64encode(packed).decode()}"></data>'.encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no pending changes"),
        (b"<p>Hello</p>", "holds no pending changes"),
        (b'<data id="pending" value="AAAA">', "cannot be read"),
        (b"<title>hfmodels: x</title><p>cut", "is damaged: its end is missing"),
        (b'{"format": 4, "run": {}, "tests": []}', "format 4"),
        (b'{"format": 7, "run": {', "cannot be read"),
        (b"PK\x03\x04 not a zip", "is damaged: the zip is incomplete"),
        (page_with([{"test": 1}]), "cannot be read"),
        (page_with([of_a_stranger(snapshot="../out.toml", compared="../out.toml")]), "would write"),
        (page_with([of_a_stranger(snapshot="test_it.py", compared="test_it.py")]), "would write"),
        (page_with([of_a_stranger(test="test_it.py::test_other")]), "it belongs to another test"),
        (page_with([of_a_stranger()]), "cannot be accepted"),
        (page_with([of_a_stranger(test="test_it.py::test_rep")]), "it belongs to another test"),
        (page_with([of_a_stranger(test="test_it.py::TestA::test_reply[a]")]), "it belongs to another test"),
        (page_with([of_a_stranger(test="test_other.py::test_reply")]), "it belongs to another test"),
        (bomb, "more than 1 MB"),
    ],
)
def test_a_report_of_a_stranger_is_data(
    home: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, content: Any, said: str
) -> None:
    monkeypatch.setattr("pytest_hfmodels.snapshots.carried._MOST", 1 << 20)
    name = "strange.json" if isinstance(content, bytes) and content.startswith(b"{") else "strange.html"
    (home.path / name).write_bytes(content() if callable(content) else content)
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file() and ".git" not in path.parts}

    assert main(["accept", "--from", name]) == 2

    error = capsys.readouterr().err
    assert said in error
    assert error.count("hfmodels: ") == 1
    after = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert after == before
    assert not (home.path.parent / "out.toml").exists()


def test_a_zip_is_not_unpacked_and_a_bomb_ends_early(
    home: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_hfmodels.snapshots.carried._MOST", 1 << 20)
    with zipfile.ZipFile(home.path / "tricks.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.json", json.dumps(of_a_stranger()))
        archive.writestr("/escaped.html", "")
    with zipfile.ZipFile(home.path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.json", bytes(4 << 20))

    assert main(["accept", "--from", "tricks.zip"]) == 2
    assert main(["accept", "--from", "bomb.zip"]) == 2

    error = capsys.readouterr().err
    assert "unpacks to more than 1 MB" in error
    assert not [*home.path.parent.rglob("escaped*")]


@pytest.mark.parametrize("name", ["ci/report.json", "ci/report.html"])
def test_a_truncated_report_is_damaged_wherever_it_is(
    home: Project, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (home.path / name).read_bytes()
    shutil.rmtree(home.path / "ci")
    (home.path / "ci").mkdir()
    (home.path / name).write_bytes(whole[: len(whole) // 2])

    assert main(["pending", "--from", "ci"]) == 2
    assert main(["pending", "--from", name]) == 2
    assert "holds no pending changes" not in capsys.readouterr().err


def test_a_conftest_outside_of_the_project_does_not_run(
    home: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "conftest.py").write_text(f"open({str(outside / 'ran')!r}, 'w')", encoding="utf-8")
    (outside / "test_x.py").write_text("", encoding="utf-8")
    (home.path / "strange.html").write_bytes(page_with([of_a_stranger(test=f"{outside}/test_x.py::test_x")]))

    main(["pending", "--from", "strange.html"])

    assert not (outside / "ran").exists()


def test_without_a_terminal_a_review_says_what_to_type(home: Project, capsys: pytest.CaptureFixture[str]) -> None:
    del home

    assert main(["review", "--from", "ci/report.html"]) == 2
    error = capsys.readouterr().err
    assert "not a terminal" in error
    assert "reject" not in error  # it drops a change of this machine


def test_a_test_with_two_changed_snapshots_is_accepted_whole(home: Project) -> None:
    tests = """
from tests.example_records import generation, swapped
from pytest_hfmodels.kinds import Step

def test_both(hf_snapshot):
    same = [generation({now}) == hf_snapshot(name=name) for name in ("one", "two")]
    assert all(same)
"""
    record(home, tests.replace("{now}", "{reply}"))
    home.write(tests.format(now=REPLY_NOW))
    run(home, "--hfmodels-json=ci/both.json").assert_outcomes(failed=1)

    assert main(["accept", "--from", "ci/both.json", "test_it.py::test_both"]) == 0

    assert len(touched(home)) == 2
    run(home).assert_outcomes(passed=1)


OTHER_NOW = NOW["other"]
