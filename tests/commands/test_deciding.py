"""`hfmodels pending`, `diff`, `accept` and `reject`: the walk's twins, which ask nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.snapshots.pending import PendingFolder
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import BUT, OTHER, REPLY, change, explained, pending, record, run

if TYPE_CHECKING:
    from ..project import Project


@pytest.fixture
def changed(bare_project: Project, capsys: pytest.CaptureFixture[str]) -> Project:
    """Two tests have begun to say something else; of one it is known why."""
    record(bare_project)
    change(bare_project)
    explained(bare_project, "test_reply", cause="search", why=("another beam", "gap 0.1"))
    capsys.readouterr()
    return bare_project


def test_pending_as_json_tells_everything(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pending", "--json", "--cause", "search"]) == 1

    (found,) = json.loads(capsys.readouterr().out)
    assert (found["test"], found["cause"], found["why"], found["stale"]) == (
        REPLY,
        "search",
        ["another beam", "gap 0.1"],
        False,
    )
    assert found["text"] == pending(changed)["test_reply"].text


def test_the_diff_is_what_git_would_show_after_accepting(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", REPLY]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        f"changed, search: {REPLY}",
        "  another beam",
        "  gap 0.1",
        "--- snapshots/test_it/test_reply.toml",
        "+++ snapshots/test_it/test_reply.toml",
    ]
    assert '-    [13, " and", -0.5, -0.5, 1.5, 14, " but"],' in lines
    assert '+    [14, " but", -0.125, -0.125, 1.25, 13, " and"],' in lines
    assert OTHER not in "\n".join(lines)
    assert "\x1b" not in "\n".join(lines)
    del changed


def test_the_diff_of_a_new_snapshot_shows_all_of_it(bare_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    record(bare_project)
    before = bare_project.snapshot().read_text()
    bare_project.snapshot().unlink()
    run(bare_project)
    capsys.readouterr()

    main(["diff"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "--- no snapshot yet"
    assert [line[1:] for line in lines if line[0] == "+"][1:] == before.splitlines()


def test_rejecting_leaves_snapshots_and_says_so(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = changed.snapshots

    assert main(["reject", "--cause", "search"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"dropped the new output of {REPLY}; snapshots/test_it/test_reply.toml stays as it is",
        "1 rejected: their tests fail until the cause is fixed",
    ]
    assert changed.snapshots == before
    assert set(pending(changed)) == {"test_other"}
    run(changed).assert_outcomes(passed=1, failed=2)
    assert set(pending(changed)) == {"test_reply", "test_other"}


def test_what_cannot_be_dropped_is_not_said_to_be(
    changed: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PendingFolder, "delete", lambda *_: None)

    assert main(["reject"]) == 2

    said = capsys.readouterr()
    assert "dropped" not in said.out
    assert "cannot be dropped" in said.err
    assert len(pending(changed)) == 2


@pytest.mark.parametrize("command", ["accept", "reject"])
@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (["--cause", "search"], {"test_reply"}),
        (["--cause", "undetermined"], {"test_other"}),
        (["--verdict", "changed"], {"test_reply", "test_other"}),
        (["--cause", "search", "--verdict", "changed", "test_it.py"], {"test_reply"}),
        ([OTHER], {"test_other"}),
        (["."], {"test_reply", "test_other"}),
    ],
)
def test_selections_mean_the_same_everywhere(
    changed: Project, command: str, selection: list[str], chosen: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["pending", "--json", *selection])
    listed = {found["test"].partition("::")[2] for found in json.loads(capsys.readouterr().out)}

    assert main([command, *selection]) == 0

    assert listed == chosen
    assert set(pending(changed)) == {"test_reply", "test_other"} - chosen


@pytest.mark.parametrize("command", ["pending", "diff", "accept", "reject"])
def test_a_selection_of_nothing_is_refused(changed: Project, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, "--cause", "dtype"]) == 2

    said = capsys.readouterr().err
    assert "No pending change has the cause 'dtype'." in said
    assert "The pending causes: search, undetermined" in said
    assert len(pending(changed)) == 2


@pytest.fixture
def moved_away(changed: Project) -> Project:
    """The tests of one of two files have moved to another."""
    changed.path.joinpath("test_it.py").rename(changed.path / "test_moved.py")
    changed.write(
        f"from tests.example_records import swapped, generation\nfrom pytest_hfmodels.kinds import Step\n\n"
        f"def test_new(hf_snapshot):\n    assert generation({BUT}) == hf_snapshot\n",
        "test_new.py",
    )
    run(changed, "test_new.py")
    return changed


def test_a_change_without_its_test_is_stale_and_not_accepted(
    moved_away: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = moved_away.snapshots
    capsys.readouterr()

    listed, accepted, again = main(["pending"]), main(["accept"]), main(["accept"])

    said = capsys.readouterr().out.splitlines()
    assert (listed, accepted, again) == (1, 0, 1)
    stale = "stale: the test no longer exists"
    assert f"changed: {OTHER} (snapshots/test_it/test_other.toml) - {stale}" in said
    assert f"left out, because the test no longer exists: {OTHER}" in said
    left_out = "2 left out (hfmodels reject TEST drops one)"
    assert f"1 accepted, {left_out}; review them: git add -N snapshots && git diff" in said
    assert said[-1] == f"0 accepted, {left_out}"
    assert moved_away.snapshots.items() - before.items() == {
        ("test_new/test_new.toml", moved_away.snapshots["test_new/test_new.toml"])
    }
    assert main(["reject"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 rejected"
    assert pending(moved_away) == {}


def test_a_snapshot_that_cannot_be_read_hides_no_other(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = changed.snapshot("test_it/test_other.toml")
    path.unlink()
    path.mkdir()
    capsys.readouterr()

    assert main(["pending"]) == 2
    listed = capsys.readouterr().out.splitlines()
    assert main(["pending", "--json"]) == 2
    told = capsys.readouterr()
    assert main(["diff"]) == 2
    shown = capsys.readouterr()
    assert main(["pending", "--patch", "-"]) == 2
    patch = capsys.readouterr()

    problem = f"{path} cannot be read: Is a directory"
    assert listed[0] == f"changed: {OTHER} (snapshots/test_it/test_other.toml) - unreadable: {problem}."
    assert listed[1] == f"changed, search: {REPLY} (snapshots/test_it/test_reply.toml)"
    assert [found["stale"] for found in json.loads(told.out)] == [None, False]
    assert problem in told.err
    assert "+++ snapshots/test_it/test_reply.toml" in shown.out
    assert f"{path} cannot be read" in shown.err
    assert "+++ b/snapshots/test_it/test_reply.toml" in patch.out
    assert f"hfmodels: left out: {OTHER}: unreadable: {problem}" in patch.err


def test_what_is_accepted_and_stays_listed_is_said(
    changed: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = changed.snapshots
    monkeypatch.setattr(PendingFolder, "delete", lambda *_: None)

    assert main(["accept"]) == 0

    said = capsys.readouterr()
    assert "2 accepted" in said.out
    assert "2 of them are listed as pending all the same, because " in said.err
    assert "hfmodels-pending cannot be written. Make it writable, and run the tests again." in said.err
    assert changed.snapshots != before


def test_a_name_that_no_folder_can_have_is_refused(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = changed.snapshots

    assert main(["accept", "--keep-old-as", "b" * 300, "--when", "pytest<8"]) == 2

    said = capsys.readouterr().err
    assert "The variant's name is too long for a folder's: it has 300 characters." in said
    assert "Choose one of at most 100" in said
    assert changed.snapshots == before


def test_characters_that_command_a_terminal_are_shown_by_name(
    changed: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = replace(pending(changed)["test_other"], test=f"{OTHER}[\x1b[31m\x07\u202e]")
    find_project().pending.save(odd)
    capsys.readouterr()

    for command in (["pending"], ["diff"], ["accept", "test_it.py::test_other[\x1b]"], ["reject"]):
        main(command)

    said = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & {*said.out, *said.err}
    assert said.out.count(f"{OTHER}[⟨U+001B⟩[31m⟨U+0007⟩⟨U+202E⟩]") == 3


def test_half_a_character_is_refused_and_left_out_of_a_patch(
    changed: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    text = pending(changed)["test_other"].text
    explained(changed, "test_other", text=text.replace(" you", " y\ud800u"))
    before = changed.snapshots
    capsys.readouterr()

    assert main(["diff"]) == 1
    assert main(["accept"]) == 2
    refused = capsys.readouterr().err
    assert main(["pending", "--patch", "out.patch"]) == 1

    assert "test_other.toml cannot store the output of its test: it contains a lone surrogate, '\\ud800'." in refused
    assert changed.snapshots == before
    assert f"left out: {OTHER}: it holds a lone surrogate" in capsys.readouterr().err
    assert "test_reply.toml" in (changed.path / "out.patch").read_text()
    assert main(["accept", REPLY]) == 0


@pytest.mark.parametrize("arguments", [["pending"], ["diff"], ["pending", "--json"], ["pending", "--patch", "-"]])
def test_output_that_cannot_be_written_is_said_in_a_line(changed: Project, arguments: list[str]) -> None:
    code = "import sys; from pytest_hfmodels.commands.cli import main; sys.exit(main(sys.argv[1:]))"

    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=changed.path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr == "hfmodels: The output cannot be written: No space left on device.\n"
