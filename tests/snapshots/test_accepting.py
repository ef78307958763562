"""From a failing test to its accepted snapshot, by the commands."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import write_together
from pytest_hfmodels.snapshots import accepting
from pytest_hfmodels.snapshots.accepting import accept
from pytest_hfmodels.snapshots.project import find_project

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

TESTS = """
from tests.example_records import generation, moved

def test_reply(hf_snapshot):
    assert generation(moved(1, by={by})) == hf_snapshot

def test_other(hf_snapshot):
    assert generation(moved(0, by={by})) == hf_snapshot

def test_steady(hf_snapshot):
    assert generation() == hf_snapshot
"""
OLD, NEW = "pytest<8", "pytest>=8"


@pytest.fixture
def changed(bare_project: Project) -> Project:
    """A project under version control, two of whose three tests have begun to observe something else."""
    bare_project.write(TESTS.format(by=0.0))
    run(bare_project, "--snapshot-update")
    bare_project.write("__pycache__\n.pytest_cache\n*.pyc\n", ".gitignore")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "Record")):
        git(bare_project, *arguments)
    bare_project.write(TESTS.format(by=0.25))
    git(bare_project, "commit", "-qam", "Upgrade")
    run(bare_project)
    return bare_project


def run(project: Project, *arguments: str) -> pytest.RunResult:
    return project.run("-p", "cacheprovider", *arguments)


def git(project: Project, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    result = subprocess.run(
        ["git", *identity, *arguments], cwd=project.path, check=True, capture_output=True, text=True
    )
    return result.stdout


def test_a_failing_run_says_that_something_is_pending(changed: Project) -> None:
    result = run(changed)

    result.stdout.fnmatch_lines(["2 tests to review: hfmodels review; *"])


def test_pending_lists_what_failed(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    del changed

    assert main(["pending"]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "drift: test_it.py::test_other (snapshots/test_it/test_other.toml)",
        "drift: test_it.py::test_reply (snapshots/test_it/test_reply.toml)",
        "2 pending; one by one: hfmodels review; all at once: hfmodels accept, hfmodels reject",
    ]


def test_pending_as_json_holds_what_would_be_written(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pending", "--json"])

    first, second = json.loads(capsys.readouterr().out)
    assert first["test"] == "test_it.py::test_other"
    assert (second["verdict"], second["stale"], second["compared"]) == (
        "drift",
        False,
        "snapshots/test_it/test_reply.toml",
    )
    assert second["text"] != changed.snapshot().read_text()


def test_accept_writes_what_an_update_would_have_written(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accept"]) == 0

    accepted = changed.snapshots
    assert "2 accepted; review them: git diff" in capsys.readouterr().out
    run(changed).assert_outcomes(passed=3)
    git(changed, "checkout", "snapshots")
    run(changed, "--snapshot-update")
    assert changed.snapshots == accepted


def test_accept_takes_the_tests_that_are_named_and_leaves_the_others(changed: Project) -> None:
    assert main(["accept", "test_it.py::test_reply"]) == 0

    assert git(changed, "diff", "--name-only").split() == ["snapshots/test_it/test_reply.toml"]
    run(changed).assert_outcomes(passed=2, failed=1)


def test_accept_of_a_test_with_nothing_pending_says_so(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    del changed

    assert main(["accept", "test_it.py::test_steady"]) == 2

    assert "test_it.py::test_steady has no pending change." in capsys.readouterr().err


def test_the_old_output_is_kept_for_its_releases(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = changed.snapshots

    status = main(["accept", "--keep-old-as", "before-8", "--when", OLD, "--what", "numbers moved", "test_it.py"])

    assert status == 0
    after = changed.snapshots
    assert after["variants/before-8/test_it/test_reply.toml"] == before["test_it/test_reply.toml"]
    assert after["variants/before-8/test_it/test_other.toml"] == before["test_it/test_other.toml"]
    assert after["test_it/test_reply.toml"] != before["test_it/test_reply.toml"]
    assert after["test_it/test_steady.toml"] == before["test_it/test_steady.toml"]
    assert after["upstream.toml"] == (
        '[[change]]\nname = "before-8"\nwhen = "pytest<8"\nwhat = "numbers moved"\nsnapshots = "variants/before-8"\n'
    )
    assert "wrote snapshots/upstream.toml" in capsys.readouterr().out
    run(changed).assert_outcomes(passed=3)


def test_git_alone_undoes_it(changed: Project) -> None:
    before = changed.snapshots
    main(["accept", "--keep-old-as", "before-8", "--when", OLD])

    git(changed, "checkout", "-q", ".")
    git(changed, "clean", "-qfd")

    assert changed.snapshots == before


def test_the_new_output_can_be_the_variant(changed: Project) -> None:
    before = changed.snapshots

    assert main(["accept", "--as-variant", "since-8", "--when", NEW, "--reference", "a/b#1"]) == 0

    after = changed.snapshots
    assert after["test_it/test_reply.toml"] == before["test_it/test_reply.toml"]
    assert 'reference = "a/b#1"' in after["upstream.toml"]
    assert f'what = "outputs of {NEW} differ from those of other releases"' in after["upstream.toml"]
    run(changed).assert_outcomes(passed=3)


def test_an_entry_is_added_below_those_there_are(changed: Project) -> None:
    text = '# what we know\n[[break]]\nname = "b"\nwhen = "pytest<8"\ntests = "x.py::test"\nraises = "ValueError"\n'
    text += 'what = "w"\n'
    changed.write(text, "snapshots/upstream.toml")

    main(["accept", "--keep-old-as", "before-8", "--when", OLD, "test_it.py::test_reply"])
    main(["accept", "--keep-old-as", "before-8", "--when", OLD, "test_it.py::test_other"])

    written = changed.snapshots["upstream.toml"]
    assert written.startswith(text)
    assert written.count("before-8") == 2
    assert sorted(name for name in changed.snapshots if "before-8" in name) == [
        "variants/before-8/test_it/test_other.toml",
        "variants/before-8/test_it/test_reply.toml",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep-old-as", "x", "--when", NEW], "the old output would not be the one expected in its own releases."),
        (["--as-variant", "x", "--when", OLD], "the new output would not be the one expected in its own releases."),
        (["--keep-old-as", "x", "--when", "pytest"], "--when: 'pytest' is no range of releases."),
        (["--keep-old-as", "x"], 'Add --when "transformers<5".'),
        (["--when", OLD], "--when, --what and --reference belong to a variant."),
        (["--keep-old-as", "../x", "--when", OLD], "is no name"),
        (["--keep-old-as", "taken", "--when", OLD], "the ledger has an entry taken already"),
        (["--keep-old-as", "full", "--when", OLD], "full already has a variant of snapshots/test_it/test_other.toml."),
    ],
)
def test_a_variant_that_does_not_fit_changes_nothing(
    changed: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    entry = '[[break]]\nname = "taken"\nwhen = "pytest<8"\ntests = "x.py::test"\nraises = "ValueError"\nwhat = "w"\n'
    changed.write(entry, "snapshots/upstream.toml")
    changed.write("", "snapshots/variants/full/test_it/test_other.toml")
    before = changed.snapshots

    assert main(["accept", *arguments]) == 2

    assert said in capsys.readouterr().err
    assert changed.snapshots == before


def test_a_package_that_is_not_there_is_refused(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = changed.snapshots

    assert main(["accept", "--keep-old-as", "before", "--when", "pytst<8"]) == 2

    assert "pytst is not installed here" in capsys.readouterr().err
    assert changed.snapshots == before


def test_an_empty_name_is_not_no_variant(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = changed.snapshots

    assert main(["accept", "--keep-old-as", "", "--when", OLD]) == 2

    assert "The variant has no name." in capsys.readouterr().err
    assert changed.snapshots == before


def test_the_versions_are_those_that_observed_and_not_those_that_accept(
    changed: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    # The records are made by hand, by transformers 4.57.6 as they say.
    assert main(["accept", "--as-variant", "old", "--when", "transformers<4.57"]) == 2
    assert main(["accept", "--keep-old-as", "before-4-57", "--when", "transformers<4.57"]) == 0

    assert "These outputs are of transformers 4.57.6" in capsys.readouterr().err
    told = 'what = "outputs of transformers<4.57 differ from those of 4.57.6"'
    assert told in changed.snapshots["upstream.toml"]


def test_what_an_interrupted_accept_began_can_be_finished(changed: Project) -> None:
    base = changed.snapshot().read_text()
    changed.write(base, "snapshots/variants/before-8/test_it/test_reply.toml")

    assert main(["accept", "--keep-old-as", "before-8", "--when", OLD]) == 0

    assert changed.snapshots["variants/before-8/test_it/test_reply.toml"] == base


def test_the_cache_folder_stays_out_of_git(changed: Project) -> None:
    (changed.path / ".gitignore").write_text("__pycache__\n")

    assert ".pytest_cache" not in git(changed, "status", "--short")


def test_a_range_that_is_too_wide_is_named_and_not_pending(changed: Project) -> None:
    main(["accept", "--keep-old-as", "before-8", "--when", OLD])
    ledger = changed.path / "snapshots" / "upstream.toml"
    ledger.write_text(ledger.read_text().replace("pytest<8", "pytest<99"))

    result = run(changed)

    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        ["*the base snapshot matches here, so before-8 covers too many releases: narrow `when` at *:1"]
    )
    assert main(["pending"]) == 0


def test_a_stale_change_is_recognised_and_not_accepted(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    changed.snapshot().write_text(changed.snapshot().read_text() + "# edited\n")
    before = changed.snapshots

    listed, refused = main(["pending"]), main(["accept"])

    assert (listed, refused) == (1, 2)
    said = capsys.readouterr()
    assert "test_reply.toml) - stale: the file has changed since it was compared; run the test again" in said.out
    assert "snapshots/test_it/test_reply.toml has changed since test_it.py::test_reply was compared" in said.err
    assert changed.snapshots == before


def test_what_passes_again_is_no_longer_pending(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    changed.write(TESTS.format(by=0.0))
    run(changed).assert_outcomes(passed=3)

    assert main(["accept"]) == 1

    assert f"\nnothing is pending in {changed.path}: run the tests" in capsys.readouterr().out


def test_a_new_test_is_pending_too(changed: Project) -> None:
    changed.snapshot().unlink()
    run(changed).assert_outcomes(failed=2, passed=1)

    main(["accept"])

    run(changed).assert_outcomes(passed=3)


def test_after_a_write_that_fails_accepting_again_writes_the_rest(
    changed: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def full_at_the_third(contents: dict[Path, str | bytes | None]) -> None:
        written.append(contents)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        write_together(contents)

    monkeypatch.setattr(accepting, "write_together", full_at_the_third)
    variation = ["--keep-old-as", "before-8", "--when", OLD]

    assert main(["accept", *variation]) == 2
    assert "cannot be written: No space left on device. 2 of 5 files were written." in capsys.readouterr().err
    assert main(["accept", *variation]) == 0

    assert sum(name.startswith("variants/before-8/") for name in changed.snapshots) == 2
    run(changed).assert_outcomes(passed=3)


def test_the_ledger_command_prints_what_applies(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    main(["accept", "--keep-old-as", "before-8", "--when", OLD, "--what", "numbers moved"])
    capsys.readouterr()

    main(["ledger"])
    main(["ledger", "--all"])

    assert capsys.readouterr().out.splitlines() == [
        "none of the ledger's 1 entries applies to the installed versions",
        "change before-8 (pytest<8): numbers moved",
    ]
    assert changed.snapshots


def test_the_ledger_command_finds_entries_about_nothing(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    main(["accept", "--keep-old-as", "before-8", "--when", OLD])
    fine = main(["ledger", "--check"])
    entry = '\n[[break]]\nname = "b"\nwhen = "pytest<8"\ntests = ["x.py::test", "test_plain.py::test_plain"]\n'
    entry += 'raises = "ValueError"\nwhat = "w"\n'
    changed.write("def test_plain(): pass", "test_plain.py")
    changed.write(changed.snapshots["upstream.toml"] + entry, "snapshots/upstream.toml")
    variants = "snapshots/variants/before-8/test_it"
    changed.write(changed.snapshots["test_it/test_reply.toml"], f"{variants}/test_reply.toml")
    changed.write(changed.snapshots["test_it/test_reply.toml"], f"{variants}/test_gone.toml")
    capsys.readouterr()

    assert (fine, main(["ledger", "--check"])) == (0, 1)

    assert capsys.readouterr().out.splitlines()[1:] == [
        f"snapshots/upstream.toml:1: before-8 has a variant that belongs to no test: {variants}/test_gone.toml",
        f"snapshots/upstream.toml:1: before-8 has a variant that says the same as the base: {variants}/test_reply.toml",
        "snapshots/upstream.toml:7: b names tests that do not exist: x.py::test",
        "snapshots/upstream.toml:7: b has no effect on tests that use no fixture of this plugin: "
        "test_plain.py::test_plain",
    ]


def test_the_output_of_a_test_that_is_gone_is_not_written(changed: Project) -> None:
    before, project = changed.snapshots, find_project()
    found = [replace(one, gone=True) for one in project.pending.read()]

    with pytest.raises(SnapshotError, match=r"The test test_it.py::test_other no longer exists"):
        accept(project, found)

    assert changed.snapshots == before
