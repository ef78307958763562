"""What failing runs leave, and choosing among it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.snapshots.pending import FORMAT, PendingFolder, select

from ..pending_project import NOW, REPLY, TESTS, change, explained, pending, pending_files, record, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..project import Project

MANY = """
import pytest
from tests.example_records import generation, moved

@pytest.mark.parametrize("number", range(12))
def test_many(number, hf_snapshot):
    assert generation(moved(1, by={by})) == hf_snapshot
"""
PLAIN = """
from tests.example_records import generation, moved

def test_ours(hf_snapshot):
    assert generation(moved(1, by={by})) == hf_snapshot

def test_plain(snapshot):
    assert {by} == snapshot
"""


def a_change(name: str = "test_a", *, cause: str | None = None, verdict: str = "changed") -> Pending:
    return Pending(
        f"tests/test_it.py::{name}", verdict, f"snapshots/{name}.toml", f"snapshots/{name}.toml", None, None, "", cause
    )


@pytest.fixture
def folder(tmp_path: Path) -> PendingFolder:
    return PendingFolder(tmp_path / "cache" / "d" / "hfmodels-pending")


def test_what_is_kept_can_be_read_with_cause_and_reasons(folder: PendingFolder) -> None:
    change = Pending("t::a", "changed", "s.toml", "v.toml", "e", "d", "text ‮\n", "forward", ("block 2", "4e-3"))

    folder.save(change)

    assert folder.read() == [change]


WHOLE = {"format": FORMAT, "test": "t", "verdict": "v", "snapshot": "s", "compared": "c", "text": ""}
WHOLE |= {"entry": None, "digest": None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps({"format": FORMAT + 1, "everything": "else"}), f"is a pending change of format {FORMAT + 1}"),
        ('{"format": 1, "test": "t", "verdict": "drift"}', "is a pending change of format 1"),
        ("[]", "is not a pending change"),
        ("{", "is not a pending change"),
        (json.dumps({"format": FORMAT, "why": []}), "is not a pending change"),
        (json.dumps({**WHOLE, "why": [3]}), "is not a pending change"),
        (json.dumps({**WHOLE, "gone": "yes"}), "is not a pending change"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_hides_nothing(folder: PendingFolder, content: str, said: str) -> None:
    folder.save(a_change())
    other = folder.path / "other.json"
    other.write_text(content)

    assert [found.test for found in folder.read()] == ["tests/test_it.py::test_a"]
    (problem,) = folder.unreadable()
    assert f"other.json {said}" in str(problem)
    assert other.read_text() == content


def test_commands_go_on_beside_a_file_of_another_version(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    record(bare_project)
    change(bare_project)
    old = bare_project.write('{"format": 1}', ".pytest_cache/d/hfmodels-pending/other.json")

    statuses = [main(["pending"]), main(["diff"]), main(["reject", "test_it.py::test_other"]), main(["accept"])]

    said = capsys.readouterr()
    assert statuses == [1, 1, 0, 0]
    assert said.err.count("other.json is a pending change of format 1") == 4
    assert old.exists()
    run(bare_project).assert_outcomes(passed=2, failed=1)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({"causes": ["forward"]}, ["a", "b"]),
        ({"causes": ["undetermined"]}, ["c"]),
        ({"verdicts": ["drift"]}, ["b", "c"]),
        ({"causes": ["forward"], "verdicts": ["drift"]}, ["b"]),
        ({"causes": ["forward", "undetermined"]}, ["a", "b", "c"]),
    ],
)
def test_changes_are_chosen_by_cause_and_verdict(
    tmp_path: Path, chosen: dict[str, list[str]], names: list[str]
) -> None:
    found = [
        a_change("a", cause="forward"),
        a_change("b", cause="forward", verdict="drift"),
        a_change("c", verdict="drift"),
    ]

    assert [change.test[-1] for change in select(found, [], tmp_path, **chosen)] == names


def test_choosing_what_is_not_there_says_what_is(tmp_path: Path) -> None:
    found = [a_change("a", cause="forward"), a_change("b", verdict="drift")]

    with pytest.raises(SnapshotError, match=r"has the cause 'forwad'[^$]*causes: forward, undetermined"):
        select(found, [], tmp_path, causes=["forwad"])
    with pytest.raises(SnapshotError, match=r"change there has the verdict 'drift'[^$]*verdicts: changed"):
        select(found, [], tmp_path, causes=["forward"], verdicts=["drift"])


@pytest.mark.parametrize(
    ("missing", "deed", "said"),
    [
        (False, Path.unlink, "was deleted"),
        (False, lambda path: path.write_text("other"), "has changed"),
        (False, Path.exists, None),
        (True, Path.touch, "was created"),
    ],
)
def test_a_snapshot_that_changed_meanwhile_is_named(
    bare_project: Project, missing: bool, deed: Callable[[Path], object], said: str | None
) -> None:
    record(bare_project)
    if missing:
        bare_project.snapshot().unlink()
    change(bare_project)

    deed(bare_project.snapshot())

    assert pending(bare_project)["test_reply"].staleness(bare_project.path) == said


def test_under_xdist_everything_is_pending(bare_project: Project) -> None:
    bare_project.write(MANY.format(by=0.0))
    bare_project.run("--snapshot-update").assert_outcomes(passed=12)
    bare_project.write(MANY.format(by=0.25))

    run(bare_project, "-n", "2").assert_outcomes(failed=12)

    tests = {values["test"] for values in pending_files(bare_project)}
    assert tests == {f"test_it.py::test_many[{number}]" for number in range(12)}
    assert {values["format"] for values in pending_files(bare_project)} == {FORMAT}


def test_plain_syrupy_snapshots_are_neither_pending_nor_touched(bare_project: Project) -> None:
    bare_project.write(PLAIN.format(by=0.0))
    run(bare_project, "--snapshot-update").assert_outcomes(passed=2)
    theirs = bare_project.path / "__snapshots__" / "test_it.ambr"
    before = theirs.read_bytes()
    bare_project.write(PLAIN.format(by=0.25))
    run(bare_project).assert_outcomes(failed=2)

    assert list(pending(bare_project)) == ["test_ours"]
    assert main(["diff"]) == 1
    assert main(["accept"]) == 0

    assert theirs.read_bytes() == before
    run(bare_project).assert_outcomes(passed=1, failed=1)
    assert main(["reject"]) == 1
    assert theirs.read_bytes() == before
    run(bare_project, "--snapshot-update").assert_outcomes(passed=2)
    assert theirs.read_bytes() != before


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_the_first_failure_is_forgotten_once_the_last_failed_pass(bare_project: Project, workers: list[str]) -> None:
    record(bare_project)
    before = bare_project.snapshots
    bare_project.write(TESTS.format(**NOW))
    run(bare_project, *workers, "-x")
    first = set(pending(bare_project))
    assert bare_project.snapshots == before
    run(bare_project, *workers, "--lf")
    again = set(pending(bare_project))

    bare_project.write(TESTS.format(reply="", other=""))
    outcomes = run(bare_project, *workers, "--lf").parseoutcomes()

    # Of two workers each may find a failure before the run is stopped.
    assert first == {"test_reply"} if not workers else first
    assert again == first
    assert outcomes["passed"] == len(first)
    assert pending(bare_project) == {}


def test_last_failed_runs_what_waits_and_passes_once_it_is_accepted(bare_project: Project) -> None:
    record(bare_project)
    change(bare_project)

    run(bare_project, "--lf").assert_outcomes(failed=2)
    assert set(pending(bare_project)) == {"test_reply", "test_other"}
    main(["accept", "test_it.py::test_reply"])

    run(bare_project, "--lf").assert_outcomes(passed=1, failed=1)
    assert set(pending(bare_project)) == {"test_other"}
    main(["accept"])
    run(bare_project, "--lf").assert_outcomes(passed=1)
    run(bare_project).assert_outcomes(passed=3)


def test_an_old_reason_does_not_outlive_the_next_run(bare_project: Project) -> None:
    record(bare_project)
    change(bare_project)
    explained(bare_project, "test_reply", cause="of-long-ago")

    run(bare_project)

    assert pending(bare_project)["test_reply"].cause != "of-long-ago"


@pytest.mark.parametrize("command", ["pending", "diff", "accept", "reject"])
def test_a_project_without_anything_pending_says_so(bare_project: Project, command: str) -> None:
    bare_project.write("def test_nothing(): pass")

    status = main([command])

    assert status == {"pending": 0, "diff": 0, "accept": 1, "reject": 1}[command]
    assert not (bare_project.path / ".pytest_cache" / "d").exists()


def test_accepting_keeps_the_line_ends_that_a_snapshot_has(bare_project: Project) -> None:
    record(bare_project)
    path = bare_project.snapshot()
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    change(bare_project)

    assert main(["accept"]) == 0

    written = path.read_bytes()
    assert written.count(b"\r\n") == written.count(b"\n") > 10
    run(bare_project).assert_outcomes(passed=3)


@pytest.mark.parametrize("command", ["accept", "reject", "diff"])
def test_an_empty_name_is_refused_and_not_taken_for_everything(
    bare_project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    bare_project.write("def test_it(): ...")

    assert main([command, ""]) == 2

    assert "is not a test file" in capsys.readouterr().err


def test_what_has_lost_its_test_is_marked_and_kept_until_the_test_is_back(folder: PendingFolder) -> None:
    lost, there, unknown = a_change("lost"), a_change("there"), replace(a_change("unknown"), gone=True)
    for one in (lost, there, unknown):
        folder.save(one)
    told = {lost.test: True, there.test: False}

    folder.flag(lambda one: told.get(one.test))
    marked = folder.read()
    folder.flag(lambda _: False)

    assert marked == [replace(lost, gone=True), there, unknown]
    assert not any(one.gone for one in folder.read())


def test_a_name_that_is_no_text_and_a_byte_order_mark_are_kept(folder: PendingFolder) -> None:
    odd = a_change("test_\udcff")

    folder.save(odd)
    (file,) = folder.path.iterdir()
    file.write_bytes(file.read_text().encode("utf-8-sig"))
    kept = folder.read()
    folder.delete(odd.snapshot)

    assert kept == [odd]
    assert folder.read() == []


@pytest.mark.parametrize("place", ["{link}/test_it.py::test_reply", "{link}", "{link}/test_link.py"])
def test_a_path_through_a_link_names_the_same(
    bare_project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    record(bare_project)
    change(bare_project)
    (tmp_path / "link").symlink_to(bare_project.path)
    (bare_project.path / "test_link.py").symlink_to("test_it.py")
    capsys.readouterr()

    assert main(["pending", place.format(link=tmp_path / "link")]) == 1

    assert REPLY in capsys.readouterr().out


def test_a_test_file_that_is_a_link_has_its_own_name(
    bare_project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(bare_project)
    (bare_project.path / "test_it.py").rename(bare_project.path / "original.py")
    (bare_project.path / "test_it.py").symlink_to("original.py")
    run(bare_project, "--snapshot-update")
    bare_project.write(TESTS.format(reply="swapped(1, Step(1, 'x', -0.1, -0.1, 1.0, 2, 'y'))", other=""), "original.py")
    run(bare_project)
    capsys.readouterr()

    (tmp_path / "link").symlink_to(bare_project.path)
    for folder in (bare_project.path, tmp_path / "link"):
        assert main(["pending", str(folder / "test_it.py")]) == 1
        assert REPLY in capsys.readouterr().out
