"""Walking through what is pending: every key, and everything that happens meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.reviewing.loop import Walk, alone
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import BUT, OTHER, change, explained, git, pending, record, run
from .scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..project import Project

TEN = """
import pytest
from tests.example_records import STEPS, generation, moved, swapped
from pytest_hfmodels.kinds import Step

@pytest.mark.parametrize("number", range(6))
def test_many(number, hf_snapshot):
    assert generation({reply}) == hf_snapshot

def test_other(hf_snapshot):
    assert generation({other}) == hf_snapshot
"""


@pytest.fixture
def changed(bare_project: Project) -> Project:
    """Two tests that have begun to say something else: `test_other` comes first."""
    record(bare_project)
    change(bare_project)
    git(bare_project, "commit", "-qam", "Upgrade")
    return bare_project


def walk(terminal: Scripted) -> int:
    project = find_project()
    return Walk(project, project.pending.read(), terminal).run()


def touched(project: Project) -> list[str]:
    return [line[3:] for line in git(project, "status", "--short", "-uall").splitlines()]


def test_the_headline_is_that_of_the_run(changed: Project) -> None:
    said = run(changed).stdout.str()
    terminal = Scripted("q")

    walk(terminal)

    assert terminal.lines[0] == "transformers 4.57.6: 2 texts changed"
    assert terminal.lines[0] in said


def test_accepting_writes_at_once_and_the_next_one_follows(changed: Project) -> None:
    terminal = Scripted("a", lambda: "q" if touched(changed) else "a")

    left = walk(terminal)

    assert left == 1
    assert touched(changed) == ["snapshots/test_it/test_other.toml"]
    assert set(pending(changed)) == {"test_reply"}
    assert "wrote snapshots/test_it/test_other.toml" in terminal.lines
    assert terminal.lines[-2:] == ["1 accepted, 1 still pending", "look at it with: git diff"]


def test_rejecting_drops_what_was_observed_and_leaves_the_snapshot(changed: Project) -> None:
    terminal = Scripted("r", "r")

    left = walk(terminal)

    assert left == 0
    assert touched(changed) == []
    assert pending(changed) == {}
    assert "rejected; snapshots/test_it/test_other.toml stays as it is" in terminal.lines
    assert terminal.lines[-1] == "2 rejected, 0 still pending"


def test_what_is_skipped_stays_pending_and_comes_again(changed: Project) -> None:
    first, second = Scripted("s", "a"), Scripted("a")

    assert (walk(first), walk(second)) == (1, 0)

    assert first.lines[-2] == "1 skipped, 1 accepted, 1 still pending"
    assert "[1 of 1] changed" in second.text
    assert pending(changed) == {}
    run(changed).assert_outcomes(passed=3)


@pytest.mark.parametrize("key", ["s", "a", "r"])
def test_what_was_undone_comes_again_and_then_the_rest(changed: Project, key: str) -> None:
    terminal = Scripted(key, "u", "s", "a")

    left = walk(terminal)

    assert left == 1
    assert [line for line in terminal.lines if line.startswith("[")] == [
        f"[{place} of 2] changed" for place in (1, 2, 1, 2)
    ]
    assert set(pending(changed)) == {"test_other"}


def interrupt() -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize("leaving", [["a", "q"], ["a"], ["a", interrupt]], ids=["q", "end-of-input", "ctrl-c"])
def test_leaving_keeps_what_was_decided_and_the_rest_pending(
    changed: Project, leaving: list[str | Callable[[], str]]
) -> None:
    terminal = Scripted(*leaving)

    try:
        assert walk(terminal) == 1
    except KeyboardInterrupt:
        assert leaving[-1] is interrupt

    assert set(pending(changed)) == {"test_reply"}
    assert touched(changed) == ["snapshots/test_it/test_other.toml"]
    assert "1 accepted, 1 still pending" in terminal.lines


def test_the_old_output_is_kept_for_the_releases_that_are_typed(changed: Project) -> None:
    before = changed.snapshots
    terminal = Scripted("v", "before-8", "pytest<8", "words end later", "v", "", "", "")

    assert walk(terminal) == 0

    after = changed.snapshots
    for name in ("test_it/test_other.toml", "test_it/test_reply.toml"):
        assert after[f"variants/before-8/{name}"] == before[name]
        assert after[name] != before[name]
    assert after["upstream.toml"].count("[[change]]") == 1
    assert 'what = "words end later"' in after["upstream.toml"]
    assert terminal.asked[:4] == ["> ", "name: ", "when: ", "what: "]
    assert terminal.asked[5:8] == ["name [before-8]: ", "when [pytest<8]: ", "what [words end later]: "]
    assert "2 accepted with the old output kept, 0 still pending" in terminal.lines
    run(changed).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["", "r"], "Nothing was written"),
        (["../x", "pytest<8", "", "-", "r"], "is not a name"),
        (["x", "pytest>=8", "", "-", "r"], "the old output would not be expected in its own releases"),
        (["x", "nonsense!", "-", "r"], "is not a range of releases"),
    ],
)
def test_a_variant_that_does_not_fit_is_asked_about_again(changed: Project, typed: list[str], said: str) -> None:
    before = changed.snapshots
    terminal = Scripted("v", *typed, "q", width=200)

    walk(terminal)

    assert said in terminal.text
    assert changed.snapshots == before
    assert set(pending(changed)) == {"test_reply"}


def test_what_a_group_shares_is_accepted_at_once(bare_project: Project) -> None:
    record(bare_project, TEN)
    change(bare_project, TEN)
    for number in range(5):
        explained(bare_project, f"test_many[{number}]", cause="search")
    terminal = Scripted("s", "A")

    left = walk(terminal)

    assert left == 3
    assert "A accept all 4" in terminal.text
    assert set(pending(bare_project)) == {"test_many[0]", "test_many[5]", "test_other"}
    assert "1 skipped, 4 accepted, 3 still pending" in terminal.text


def test_the_diff_is_opened_and_the_question_stands(changed: Project) -> None:
    terminal = Scripted("d", "a", "q")

    walk(terminal)

    assert f"changed: {OTHER}" in terminal.paged
    assert any(line.startswith('+    [16, " you"') for line in terminal.paged)
    assert set(pending(changed)) == {"test_reply"}


@pytest.mark.parametrize("typed", ["", "x", "aa", "accept", "y", "\x1b[A"])
def test_what_is_no_key_decides_nothing(changed: Project, typed: str) -> None:
    before = changed.snapshots
    terminal = Scripted(typed, "q")

    walk(terminal)

    assert "One of a, r, s, A, R, S, v, d, q, ?." in terminal.lines
    assert changed.snapshots == before
    assert len(pending(changed)) == 2


@pytest.mark.parametrize("key", ["a", "r", "v", "A"])
@pytest.mark.parametrize("deed", ["accept", "reject"])
def test_what_was_decided_elsewhere_meanwhile_is_not_decided_again(changed: Project, deed: str, key: str) -> None:
    def meanwhile() -> str:
        assert main([deed, OTHER]) == 0
        return key

    terminal = Scripted(meanwhile, "q")

    left = walk(terminal)

    assert f"decided elsewhere in the meantime: {OTHER}" in terminal.lines
    assert left == 1
    assert set(pending(changed)) == {"test_reply"}
    assert touched(changed) == (["snapshots/test_it/test_other.toml"] if deed == "accept" else [])


def test_what_was_recorded_anew_meanwhile_is_shown_again(changed: Project) -> None:
    def meanwhile() -> str:
        change(changed, other=BUT)
        return "a"

    terminal = Scripted(meanwhile, "a", "q")

    walk(terminal)

    assert f"recorded again in the meantime: {OTHER}" in terminal.lines
    assert terminal.text.count("[1 of 2] changed") == 2
    assert '" but"' in changed.snapshots["test_it/test_other.toml"]


@pytest.mark.parametrize("deed", ["deleted", "changed"])
@pytest.mark.parametrize("key", ["a", "v"])
def test_a_snapshot_that_is_another_meanwhile_is_not_overwritten(changed: Project, key: str, deed: str) -> None:
    path = changed.snapshot("test_it/test_other.toml")

    def meanwhile() -> str:
        if deed == "deleted":
            path.unlink()
        else:
            path.write_text(f"{path.read_text()}# mine\n")
        return key

    terminal = Scripted(meanwhile, key, "s", "q")

    walk(terminal)

    said = {"deleted": "was deleted", "changed": "has changed"}[deed]
    assert f"stale: the file {said} since it was compared; run the test again" in terminal.lines
    assert "r drop it  s skip  d diff  q quit  ? help" in terminal.lines
    assert "One of r, s, d, q, ?." in terminal.lines
    assert path.exists() == (deed == "changed")
    assert set(pending(changed)) == {"test_reply", "test_other"}


def test_a_disk_that_is_full_is_said_and_the_question_stands(changed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytest_hfmodels.snapshots.accepting.write_together", full)
    before = changed.snapshots
    terminal = Scripted("a", "q", width=200)

    assert walk(terminal) == 2

    said = " ".join(terminal.text.split())  # folded where the path ends
    assert "cannot be written: No space left on device. No file was written." in said
    assert changed.snapshots == before


def test_at_sixty_columns_no_line_is_wider(changed: Project) -> None:
    explained(changed, "test_other", cause="forward", why=("a reason that is rather long " * 5,))
    terminal = Scripted("x", "?", "v", "", "A", "s", "q", width=60)

    walk(terminal)

    assert max(map(cell_len, terminal.lines)) <= 60


def test_two_reviews_at_once_are_one_too_many(changed: Project) -> None:
    folder = find_project().pending.path

    with alone(folder), pytest.raises(SnapshotError, match="Somebody is reviewing this project already"), alone(folder):
        pass

    with alone(folder):
        pass
    assert len(pending(changed)) == 2


def test_a_folder_that_cannot_be_written_is_said(bare_project: Project) -> None:
    path = bare_project.write("a file", "closed")

    with pytest.raises(SnapshotError, match=r"cannot be kept in [^$]*pending --patch FILE"), alone(path / "folder"):
        pass


def test_a_snapshot_that_cannot_be_read_is_shown_and_the_walk_goes_on(changed: Project) -> None:
    path = changed.snapshot("test_it/test_other.toml")
    path.unlink()
    path.mkdir()
    terminal = Scripted("d", "a", "s", "a", width=400)

    left = walk(terminal)

    assert terminal.lines.count(f"unreadable: {path} cannot be read: Is a directory.") == 1
    assert terminal.text.count("Is a directory") == 2  # once more in answer to d
    assert "One of r, s, d, q, ?." in terminal.lines
    assert left == 1
    assert terminal.lines[-2] == "1 skipped, 1 accepted, 1 still pending"


def test_a_change_without_its_test_can_only_be_dropped(changed: Project) -> None:
    explained(changed, "test_other", gone=True)
    terminal = Scripted("a", "r", "q", width=200)

    walk(terminal)

    assert "stale: the test no longer exists" in terminal.lines
    assert "One of r, s, d, q, ?." in terminal.lines
    assert "rejected; snapshots/test_it/test_other.toml stays as it is" in terminal.lines


def test_characters_that_command_a_terminal_are_shown_by_name(changed: Project) -> None:
    odd = replace(pending(changed)["test_other"], test=f"{OTHER}[\x1b[31m]")
    find_project().pending.save(odd)
    terminal = Scripted("d", lambda: "r" if main(["reject", OTHER]) == 0 else "", "q")

    walk(terminal)

    assert "\x1b" not in "".join([*terminal.lines, *terminal.paged])
    assert terminal.text.count(f"{OTHER}[⟨U+001B⟩[31m]") == 2


@pytest.mark.parametrize("cause", ["test", "checkpoint:weights"])
def test_the_old_output_is_kept_only_if_releases_may_explain_it(changed: Project, cause: str) -> None:
    explained(changed, "test_other", cause=cause)
    terminal = Scripted("v", "q")

    walk(terminal)

    assert "v keep" not in terminal.text
    assert any(line.startswith("One of a, r, s, d, q") for line in terminal.lines)


def test_a_group_goes_without_what_is_stale_or_was_decided_elsewhere(bare_project: Project) -> None:
    record(bare_project, TEN)
    change(bare_project, TEN)

    def meanwhile() -> str:
        assert main(["accept", "test_it.py::test_many[1]"]) == 0
        bare_project.snapshot("test_it/test_many[2].toml").unlink()
        return "A"

    terminal = Scripted(meanwhile, "s", width=200)

    left = walk(terminal)

    assert "decided elsewhere in the meantime: test_it.py::test_many[1]" in terminal.lines
    assert "left out: test_it.py::test_many[2] (stale: the file was deleted" in terminal.text
    assert (left, set(pending(bare_project))) == (1, {"test_many[2]"})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a", "u"], "undone: 1 accepted"),
        (["r", "u"], "undone: 1 rejected"),
        (["s", "u"], "undone: 1 skipped"),
        (["A", "u"], "undone: 2 accepted"),
        (["R", "u"], "undone: 2 rejected"),
        (["S", "u"], "undone: 2 skipped"),
        (["v", "before-8", "pytest<8", "", "u"], "undone: 1 accepted with the old output kept"),
    ],
)
def test_the_last_decision_is_undone_also_at_the_end(changed: Project, keys: list[str], said: str) -> None:
    before, waiting = changed.snapshots, pending(changed)
    terminal = Scripted(*keys, "q")

    left = walk(terminal)

    assert said in terminal.lines
    assert left == 2
    assert changed.snapshots == before
    assert pending(changed) == waiting
    assert terminal.lines[-1] == "2 still pending"


def test_what_somebody_else_has_written_since_is_not_undone(changed: Project) -> None:
    path = changed.snapshot("test_it/test_other.toml")

    def meanwhile() -> str:
        path.write_text(f"{path.read_text()}# mine\n")
        return "u"

    terminal = Scripted("a", meanwhile, "q", width=300)

    walk(terminal)

    assert "has changed since, so nothing was undone" in terminal.text
    assert path.read_text().endswith("# mine\n")


def test_a_group_is_rejected_or_skipped_by_a_capital(changed: Project) -> None:
    terminal = Scripted("S")

    assert walk(terminal) == 2
    assert "2 skipped, 2 still pending" in terminal.lines
    assert walk(Scripted("R")) == 0
    assert pending(changed) == {}
    assert touched(changed) == []


def test_a_wrong_range_is_asked_again_at_once_and_nothing_typed_is_lost(changed: Project) -> None:
    terminal = Scripted("v", "x", "nonsense!", "pytest>=8", "why", "", "pytest<8", "", "q")

    assert walk(terminal) == 1

    assert terminal.asked[1:8] == [
        *("name: ", "when: ", "when: ", "what: "),
        *("name [x]: ", "when [pytest>=8]: ", "what [why]: "),
    ]
    assert "1 accepted with the old output kept, 1 still pending" in terminal.lines
    assert set(pending(changed)) == {"test_reply"}


def test_the_keys_are_explained_and_every_action_is_answered(changed: Project) -> None:
    terminal = Scripted("?", "s", "r")

    walk(terminal)

    assert any(line.startswith("v  accept, and keep the old output") for line in terminal.lines)
    assert "skipped; still pending" in terminal.lines
    assert "rejected; snapshots/test_it/test_reply.toml stays as it is" in terminal.lines
    assert set(pending(changed)) == {"test_other"}


def test_the_heading_stays_in_sight_on_a_small_terminal(changed: Project) -> None:
    why = ("a reason that is rather long " * 8, *(f"evidence {number} " * 9 for number in range(9)))
    explained(changed, "test_other", cause="forward", why=why)
    terminal = Scripted(width=60, height=24)

    walk(terminal)

    lines = terminal.lines
    shown = lines[next(n for n, line in enumerate(lines) if line.startswith("[1 of 2]")) : lines.index("", -3)]
    assert len(shown) < 24
    assert any(line.startswith("now") for line in shown)
    assert any("more lines: d" in line for line in shown)
