"""The file of the arrays beside a snapshot: both are written, kept pending, accepted and found together, or neither."""

from __future__ import annotations

import base64
import json
import os
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.foundation.files import write_together
from pytest_hfmodels.kinds.registry import KINDS
from pytest_hfmodels.snapshots.project import find_project
from pytest_hfmodels.snapshots.unused import find_orphans

from ..example_records import ARRAYS
from ..pending_project import git, run

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

TESTS = """
import numpy as np
from tests.example_records import arrays

def test_reply(hf_snapshot):
    assert arrays(x={x}) == hf_snapshot
"""
ONES, MOVED, FEW = "np.ones((3, 40))", "np.arange(120.0).reshape(3, 40)", "np.ones(3)"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS._values, ARRAYS.name, ARRAYS)


@pytest.fixture
def recorded(bare_project: Project) -> Project:
    bare_project.write("__pycache__\n.pytest_cache\n*.pyc\n", ".gitignore")
    observe(bare_project, ONES, "--snapshot-update").assert_outcomes(passed=1)
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "Record")):
        git(bare_project, *arguments)
    return bare_project


def observe(project: Project, values: str, *arguments: str) -> pytest.RunResult:
    project.write(TESTS.replace("{x}", values))
    return run(project, *arguments)


def beside(project: Project) -> Path:
    return project.snapshot("test_it/test_reply.safetensors")


def test_both_are_recorded_and_compared(recorded: Project) -> None:
    assert beside(recorded).stat().st_size > 120 * 8

    run(recorded).assert_outcomes(passed=1)
    result = observe(recorded, MOVED)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift: *first the x?0, 0?*", "*119 of 120 numbers differ by more than the*x?2, 39?"])
    result.stdout.fnmatch_lines(
        ["*1 test, numbers moved by at most 1.2e+02", "*test_reply  1    119  1.2e+02   x?2, 39?"]
    )


def test_both_are_pending_and_accepted(recorded: Project) -> None:
    before = beside(recorded).read_bytes()
    observe(recorded, MOVED).assert_outcomes(failed=1)
    assert beside(recorded).read_bytes() == before

    assert main(["accept"]) == 0

    assert beside(recorded).read_bytes() != before
    run(recorded).assert_outcomes(passed=1)
    assert not [*find_project().pending.path.iterdir()]


def test_no_patch_holds_one_without_the_other(recorded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    result = observe(recorded, MOVED, "--hfmodels-patch=changes.patch")

    result.stdout.fnmatch_lines(["patch of 0 snapshots: *1 left out: its arrays are in a file of their own*"])
    assert (recorded.path / "changes.patch").read_text() == ""
    assert main(["pending", "--patch", "-"]) == 1
    said = capsys.readouterr()
    assert "left out: test_it.py::test_reply: its arrays are in a file of their own" in said.err


def test_both_are_rejected(recorded: Project) -> None:
    before = beside(recorded).read_bytes()
    observe(recorded, MOVED)

    assert main(["reject"]) == 0

    assert beside(recorded).read_bytes() == before
    assert not [*find_project().pending.path.iterdir()]


@pytest.mark.parametrize("side", [["--keep-old-as", "--when", "pytest<8"], ["--as-variant", "--when", "pytest>=8"]])
def test_a_variant_has_a_file_of_its_own(recorded: Project, side: list[str]) -> None:
    before = beside(recorded).read_bytes()
    observe(recorded, MOVED)

    assert main(["accept", side[0], "other", *side[1:]]) == 0

    variant = recorded.snapshot("variants/other/test_it/test_reply.safetensors").read_bytes()
    assert sorted([beside(recorded).read_bytes() == before, variant == before]) == [False, True]
    run(recorded).assert_outcomes(passed=1)
    observe(recorded, ONES).assert_outcomes(failed=1)


def test_a_killed_accept_is_finished_by_the_next(recorded: Project) -> None:
    observe(recorded, MOVED)
    project = find_project()
    (pending,) = project.pending.read()
    (new,) = project.pending.path.glob("*.safetensors")
    write_together({recorded.snapshot("variants/old/test_it/test_reply.toml"): recorded.snapshot().read_text()})
    write_together({recorded.snapshot("variants/old/test_it/test_reply.safetensors"): beside(recorded).read_bytes()})
    beside(recorded).write_bytes(new.read_bytes())  # killed before the snapshot itself was replaced

    assert main(["accept", "--keep-old-as", "old", "--when", "pytest<8"]) == 0

    run(recorded).assert_outcomes(passed=1)
    assert not pending.is_stale(recorded.path) or recorded.snapshot().read_text() == pending.text


@pytest.mark.parametrize("update", [True, False])
def test_the_file_goes_when_the_arrays_are_few(recorded: Project, *, update: bool) -> None:
    observe(recorded, FEW, *(["--snapshot-update"] if update else []))
    if not update:
        assert main(["accept"]) == 0

    assert not beside(recorded).exists()
    run(recorded).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [("missing", "is not there"), ("edited", "is not the one that was recorded with it"), ("pipe", "cannot be read")],
)
def test_a_file_that_is_not_the_recorded_one_is_an_error(recorded: Project, damage: str, said: str) -> None:
    content = beside(recorded).read_bytes()
    beside(recorded).unlink()
    if damage == "edited":
        beside(recorded).write_bytes(content[:-1] + b"x")
    elif damage == "pipe":
        os.mkfifo(beside(recorded))

    result = run(recorded)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*test_reply.safetensors, the array file of test_reply.toml, {said}*"])
    if damage == "missing":
        result.stdout.fnmatch_lines(["*git checkout -- *test_reply.toml && git checkout -- *test_reply.safetensors*"])


def test_what_still_holds_is_not_written_again(recorded: Project) -> None:
    before = beside(recorded).read_bytes()
    recorded.write(TESTS.replace("x={x}", "x=np.ones((3, 40)) + 1e-6, y=np.ones(1)"))

    run(recorded, "--snapshot-update").assert_outcomes(passed=1)

    assert beside(recorded).read_bytes() == before
    assert "y" in recorded.snapshot().read_text()


def test_a_change_whose_arrays_are_lost_is_refused(recorded: Project, capsys: pytest.CaptureFixture[str]) -> None:
    observe(recorded, MOVED)
    (new,) = find_project().pending.path.glob("*.safetensors")
    before = recorded.snapshot().read_bytes(), beside(recorded).read_bytes()

    new.write_bytes(beside(recorded).read_bytes())
    assert main(["accept"]) == 1
    new.unlink()
    assert main(["accept"]) == 1

    said = capsys.readouterr().out
    assert "test_reply left pending is not the one that the test left" in said
    assert "test_reply left pending cannot be read" in said
    assert (recorded.snapshot().read_bytes(), beside(recorded).read_bytes()) == before


def test_no_link_is_written_through(recorded: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "weights.safetensors"
    outside.write_bytes(b"precious")
    beside(recorded).unlink()
    beside(recorded).symlink_to(outside)
    observe(recorded, MOVED)
    recorded.snapshot().unlink()

    observe(recorded, MOVED, "--snapshot-update").assert_outcomes(failed=1)
    main(["accept"])

    assert outside.read_bytes() == b"precious"


def test_a_file_without_its_snapshot_is_an_orphan(recorded: Project) -> None:
    assert find_orphans() == []
    weights = beside(recorded).with_name("weights.safetensors")
    weights.write_bytes(b"\x02\0\0\0\0\0\0\0{}")  # not ours
    beside(recorded).with_name("test_other.safetensors").write_bytes(beside(recorded).read_bytes())
    (recorded.path / "test_it.py").unlink()

    found = [path.name for path in find_orphans()]

    assert found == ["test_other.safetensors", "test_reply.safetensors", "test_reply.toml"]


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    one, folder = tmp_path / "one", tmp_path / "folder"
    one.write_text("old")
    folder.mkdir()

    with pytest.raises(OSError, match="not a regular file"):
        write_together({one: "new", folder: b"new"})
    with pytest.raises(UnicodeEncodeError):
        write_together({one: b"new", tmp_path / "two": "\ud800"})

    assert one.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one"]


BOTH = (
    TESTS
    + """
def test_text(hf_snapshot):
    assert {text!r} == hf_snapshot
"""
)


@pytest.mark.parametrize(("room", "kept"), [(2 << 20, ["test_reply", "test_text"]), (100, ["test_text"])])
def test_a_report_carries_array_files_that_fit_and_accepting_leaves_out_the_rest(
    recorded: Project,
    room: int,
    kept: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pytest_hfmodels.session._ARRAYS", room)
    monkeypatch.setenv("GITHUB_SHA", "abc")
    recorded.write(BOTH.replace("{x}", ONES).replace("{text!r}", "'a'"))
    run(recorded, "--snapshot-update")
    recorded.write(BOTH.replace("{x}", MOVED).replace("{text!r}", "'b'"))
    run(recorded, "--hfmodels-html=ci/report.html", "--hfmodels-json=ci/report.json")
    page = (recorded.path / "ci" / "report.html").read_text(encoding="utf-8")
    local = [one.test for one in find_project().pending.read()]

    assert main(["accept", "--from", "ci/report.json"]) == 0

    said = capsys.readouterr().out
    assert [
        name for name in ("test_reply", "test_text") if f"hfmodels accept --from report.html test_it.py::{name}" in page
    ] == kept
    assert ("left out, because The array file of" in said) == (len(kept) == 1)
    assert "reject" not in said
    assert [one.test for one in find_project().pending.read()] == local  # of this machine
    run(recorded).assert_outcomes(passed=len(kept), failed=2 - len(kept))
    assert main(["accept", "--from", "ci/report.html"]) == 1


@pytest.mark.parametrize("junk", [b"", b"junk", (1 << 60).to_bytes(8, "little") + b"{}"], ids=["none", "junk", "huge"])
def test_an_array_file_that_does_not_hold_what_its_snapshot_lists_is_not_accepted(
    recorded: Project, junk: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.write(TESTS.replace("{x}", MOVED))
    run(recorded, "--hfmodels-json=report.json")
    report = json.loads((recorded.path / "report.json").read_text(encoding="utf-8"))
    pending = report["tests"][0]["comparisons"][0]["pending"]
    raw = base64.b64decode(pending["arrays"])
    pending["arrays"] = base64.b64encode(junk).decode()
    pending["text"] = pending["text"].replace(sha256(raw).hexdigest(), sha256(junk).hexdigest())
    (recorded.path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    before = [path.read_bytes() for path in sorted((recorded.path / "snapshots").rglob("*.*"))]

    assert main(["accept", "--from", "report.json"]) == 2

    assert "does not hold the arrays" in capsys.readouterr().err
    assert [path.read_bytes() for path in sorted((recorded.path / "snapshots").rglob("*.*"))] == before
