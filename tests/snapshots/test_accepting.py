"""From a failing test to its accepted snapshot, by the commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.foundation.files import write_together
from pytest_hfmodels.snapshots import accepting

from ..pending_project import OTHER, REPLY, TESTS, change, git, pending_folder, record, run

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

OLD, NEW = "pytest<8", "pytest>=8"
KEEP_OLD = ["accept", "--keep-old-as", "before-8", "--when", OLD]
TAKEN = '[[break]]\nname = "taken"\nwhen = "pytest<8"\ntests = "x.py::test"\nraises = "ValueError"\nwhat = "w"\n'
VARIANTS = "variants/before-8/test_it"


@pytest.fixture
def changed(bare_project: Project) -> Project:
    """A project under version control, two of whose three tests have begun to observe something else."""
    record(bare_project)
    change(bare_project)
    git(bare_project, "commit", "-qam", "Upgrade")
    return bare_project


def test_what_failed_is_listed_with_what_would_be_written(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run(changed).stdout.fnmatch_lines(["2 tests to review: hfmodels review; *"])
    capsys.readouterr()
    assert main(["pending"]) == 1
    assert [line.partition(" (")[0] for line in capsys.readouterr().out.splitlines()] == [
        f"changed: {OTHER}",
        f"changed: {REPLY}",
        "2 pending; one by one: hfmodels review; all at once: hfmodels accept, hfmodels reject",
    ]

    main(["pending", "--json"])

    first, second = json.loads(capsys.readouterr().out)
    assert (first["test"], second["verdict"], second["stale"]) == (OTHER, "changed", False)
    assert second["compared"] == "snapshots/test_it/test_reply.toml"
    assert second["text"] != changed.snapshot().read_text()


def test_accept_writes_what_an_update_would_have_written(changed: Project) -> None:
    assert main(["accept"]) == 0

    accepted = changed.snapshots
    run(changed).assert_outcomes(passed=3)
    git(changed, "checkout", "snapshots")
    run(changed, "--snapshot-update")
    assert changed.snapshots == accepted


def test_accept_takes_the_tests_that_are_named_and_leaves_the_others(changed: Project) -> None:
    assert main(["accept", REPLY]) == 0

    assert git(changed, "diff", "--name-only").split() == ["snapshots/test_it/test_reply.toml"]
    run(changed).assert_outcomes(passed=2, failed=1)


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_old_output_is_kept_for_its_releases_and_git_undoes_it(changed: Project, interrupted: bool) -> None:
    before = changed.snapshots
    if interrupted:  # an accept that wrote this and was killed can be finished
        changed.write(before["test_it/test_reply.toml"], f"snapshots/{VARIANTS}/test_reply.toml")

    assert main([*KEEP_OLD, "--what", "numbers moved", "test_it.py"]) == 0

    after = changed.snapshots
    for name in ("test_reply.toml", "test_other.toml"):
        assert after[f"{VARIANTS}/{name}"] == before[f"test_it/{name}"] != after[f"test_it/{name}"]
    assert after["test_it/test_steady.toml"] == before["test_it/test_steady.toml"]
    assert after["upstream.toml"] == (
        '[[change]]\nname = "before-8"\nwhen = "pytest<8"\nwhat = "numbers moved"\nsnapshots = "variants/before-8"\n'
    )
    run(changed).assert_outcomes(passed=3)
    git(changed, "checkout", "-q", ".")
    git(changed, "clean", "-qfd")
    assert changed.snapshots == before


def test_the_new_output_can_be_the_variant(changed: Project) -> None:
    before = changed.snapshots

    assert main(["accept", "--as-variant", "since-8", "--when", NEW, "--reference", "a/b#1"]) == 0

    after = changed.snapshots
    assert after["test_it/test_reply.toml"] == before["test_it/test_reply.toml"]
    assert 'reference = "a/b#1"' in after["upstream.toml"]
    assert NEW in after["upstream.toml"]
    run(changed).assert_outcomes(passed=3)


def test_an_entry_is_added_below_those_there_are(changed: Project) -> None:
    changed.write(f"# what we know\n{TAKEN}", "snapshots/upstream.toml")

    for test in (REPLY, OTHER):
        main([*KEEP_OLD, test])

    written = changed.snapshots["upstream.toml"]
    assert written.startswith(f"# what we know\n{TAKEN}")
    assert written.count("before-8") == 2
    assert {f"{VARIANTS}/test_other.toml", f"{VARIANTS}/test_reply.toml"} <= {*changed.snapshots}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep-old-as", "x", "--when", NEW], "the old output would not be expected in its own releases."),
        (["--as-variant", "x", "--when", OLD], "the new output would not be expected in its own releases."),
        # The records are made by hand, by transformers 4.57.6 as they say: that counts, not what is installed.
        (["--as-variant", "x", "--when", "transformers<4.57"], "These outputs are of transformers 4.57.6"),
        (["--keep-old-as", "x", "--when", "pytest"], "--when: 'pytest' is not a range of releases."),
        (["--keep-old-as", "x", "--when", "pytst<8"], "pytst is not installed here"),
        (["--keep-old-as", "x"], 'Add --when "transformers<5".'),
        (["--when", OLD], "--when, --what and --reference belong to a variant."),
        (["--keep-old-as", "../x", "--when", OLD], "is not a name"),
        (["--keep-old-as", "", "--when", OLD], "The variant has no name."),
        (["--keep-old-as", "taken", "--when", OLD], "the ledger has an entry taken already"),
        (["--keep-old-as", "full", "--when", OLD], "full already has a variant of snapshots/test_it/test_other.toml."),
        (["test_it.py::test_steady"], "test_it.py::test_steady has no pending change."),
    ],
)
def test_what_cannot_be_accepted_changes_nothing(
    changed: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    changed.write(TAKEN, "snapshots/upstream.toml")
    changed.write("", "snapshots/variants/full/test_it/test_other.toml")
    before = changed.snapshots

    assert main(["accept", *arguments]) == 2

    assert said in capsys.readouterr().err
    assert changed.snapshots == before


@pytest.mark.parametrize("cause", ["test", "checkpoint:weights"])
def test_no_variant_is_made_of_what_no_release_changed(
    changed: Project, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(changed)
    for file in pending_folder(changed).path.glob("*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "cause": cause}))
    before = changed.snapshots

    assert main(KEEP_OLD) == 1

    assert f"left out, because the cause is {cause} and not a release" in capsys.readouterr().out
    assert changed.snapshots == before


def test_a_variant_is_for_the_releases_that_observed(changed: Project) -> None:
    assert main(["accept", "--keep-old-as", "before-4-57", "--when", "transformers<4.57"]) == 0

    assert "transformers<4.57 differ from those of 4.57.6" in changed.snapshots["upstream.toml"]


def test_the_cache_folder_stays_out_of_git(changed: Project) -> None:
    (changed.path / ".gitignore").write_text("__pycache__\n")

    assert ".pytest_cache" not in git(changed, "status", "--short")


def test_a_range_that_is_too_wide_is_named_and_not_pending(changed: Project) -> None:
    main(KEEP_OLD)
    ledger = changed.path / "snapshots" / "upstream.toml"
    ledger.write_text(ledger.read_text().replace("pytest<8", "pytest<99"))

    result = run(changed)

    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["*before-8 covers too many releases: narrow `when` at *:1"])
    assert main(["pending"]) == 0


def test_a_stale_change_is_recognised_and_not_accepted(changed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    changed.snapshot().write_text(changed.snapshot().read_text() + "# edited\n")
    before = changed.snapshots

    listed, refused = main(["pending"]), main(["accept"])

    assert (listed, refused) == (1, 2)
    said = capsys.readouterr()
    assert "test_reply.toml) - stale: " in said.out
    assert f"snapshots/test_it/test_reply.toml has changed since {REPLY} was compared" in said.err
    assert changed.snapshots == before


def test_what_passes_again_is_no_longer_pending(changed: Project) -> None:
    changed.write(TESTS.format(reply="", other=""))
    run(changed).assert_outcomes(passed=3)

    assert main(["accept"]) == 1


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

    assert main(KEEP_OLD) == 2
    assert "cannot be written: No space left on device. 2 of 5 files were written." in capsys.readouterr().err
    assert main(KEEP_OLD) == 0

    assert sum(name.startswith("variants/before-8/") for name in changed.snapshots) == 2
    run(changed).assert_outcomes(passed=3)


@pytest.mark.usefixtures("changed")
def test_the_ledger_command_prints_what_applies(capsys: pytest.CaptureFixture[str]) -> None:
    main(KEEP_OLD)
    capsys.readouterr()

    assert main(["ledger"]) == 0

    assert capsys.readouterr().out.splitlines() == ["none of the ledger's 1 entries applies to the installed versions"]
