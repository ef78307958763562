"""`hfmodels pending`, `diff`, `accept` and `reject`: the walk's twins, which ask nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.cli import main

from ..pending_project import OTHER, REPLY, change, explained, pending, record, run

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


def test_pending_names_the_cause(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    del changed

    main(["pending"])

    assert f"changed, search: {REPLY} (snapshots/test_it/test_reply.toml)" in capsys.readouterr().out.splitlines()


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


def test_a_diff_without_anything_pending_is_none(bare_project: Project) -> None:
    bare_project.write("def test_nothing(): pass")

    assert main(["diff"]) == 0


def test_rejecting_leaves_snapshots_and_says_so(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = changed.snapshots

    assert main(["reject", "--cause", "search"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        f"dropped what {REPLY} observed; snapshots/test_it/test_reply.toml stays as it is",
        "1 rejected: their tests fail until what they test is mended",
    ]
    assert changed.snapshots == before
    assert set(pending(changed)) == {"test_other"}
    run(changed).assert_outcomes(passed=1, failed=2)
    assert set(pending(changed)) == {"test_reply", "test_other"}


def test_what_cannot_be_dropped_is_not_said_to_be(
    changed: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_hfmodels.snapshots.accepting.forget", lambda *_: None)

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
    assert main([command, "--cause", "serch"]) == 2

    said = capsys.readouterr().err
    assert "Nothing that is pending has the cause 'serch'." in said
    assert "There is: search, undetermined" in said
    assert len(pending(changed)) == 2
