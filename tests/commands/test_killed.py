"""Commands that are killed at any moment and then typed again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.commands.cli import main
from pytest_hfmodels.commands.reviewing.loop import Walk, alone
from pytest_hfmodels.snapshots.accepting import Variation, accept, reject
from pytest_hfmodels.snapshots.project import find_project

from ..pending_project import change, record, run
from ..review.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_hfmodels.snapshots.project import Project as Places

    from ..project import Project

KILLED = 9


def killed_at(number: int, action: Callable[[], object], *, before: bool) -> bool:
    """Run an action in a process that is killed before or after its `number`-th file change; return if it was."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == KILLED
    left = number

    def ending(real: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and before:
                os._exit(KILLED)
            try:
                return real(*arguments, **options)
            finally:  # also after a change that could not be made
                if left == 0:
                    os._exit(KILLED)

        return changed

    try:
        os.replace, os.unlink = ending(os.replace), ending(os.unlink)
        action()
    finally:
        os._exit(0)


def entire(project: Project) -> dict[str, str]:
    """The content of snapshots, ledger and pending files."""
    folder = project.path / ".pytest_cache" / "d" / "hfmodels-pending"
    return project.snapshots | {path.name: path.read_text() for path in folder.iterdir() if path.name != "review.lock"}


def accepting(variation: Variation | None) -> Callable[[Places], None]:
    def action(places: Places) -> None:
        found = places.pending.read()
        if found:
            accept(places, found, variation)

    return action


def rejecting(places: Places) -> None:
    reject(places, places.pending.read())


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "action",
    [
        accepting(None),
        accepting(Variation("before-8", "pytest<8", "old", "it moved")),
        accepting(Variation("since-8", "pytest>=8", "new", "it moved")),
    ],
    ids=["accept", "keep-old", "keep-new"],
)
def test_typing_a_killed_command_again_finishes_it(
    bare_project: Project, action: Callable[[Places], None], *, before: bool
) -> None:
    record(bare_project)
    change(bare_project)
    places, start = find_project(), entire(bare_project)
    action(places)
    end, moments = entire(bare_project), 0

    while True:
        restore(bare_project, start)
        moments += 1
        if not killed_at(moments, lambda: action(places), before=before):
            break
        if any("variants" in name or name in ("test_it/test_reply.toml",) for name in differing(bare_project, start)):
            assert entire(bare_project).get("upstream.toml") == end.get("upstream.toml"), moments
        action(places)
        assert entire(bare_project) == end, moments

    assert moments > 4
    run(bare_project).assert_outcomes(passed=3)


def restore(project: Project, start: dict[str, str]) -> None:
    cache = project.path / ".pytest_cache" / "d" / "hfmodels-pending"
    for path in [*(project.path / "snapshots").rglob("*"), *cache.iterdir()]:
        if path.is_file():
            path.unlink()
    for name, text in start.items():
        (cache / name if name.endswith(".json") else project.path / "snapshots" / name).write_text(text)


def differing(project: Project, start: dict[str, str]) -> list[str]:
    return [name for name, text in entire(project).items() if start.get(name) != text and not name.endswith(".tmp")]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_typing_a_killed_reject_again_finishes_it(bare_project: Project, number: int, *, before: bool) -> None:
    record(bare_project)
    change(bare_project)
    places, start = find_project(), bare_project.snapshots

    assert killed_at(number, lambda: rejecting(places), before=before)
    rejecting(places)

    assert entire(bare_project) == start


def reviewing(places: Places, answers: Sequence[str]) -> None:
    found = places.pending.read()
    if found:
        with alone(places.pending.path):
            Walk(places, found, Scripted(*answers[-len(found) :])).run()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("answers", ["aa", "ra", "ar"])
def test_a_killed_review_goes_on_where_it_was(bare_project: Project, answers: str, *, before: bool) -> None:
    """The first answer is for `test_other`, the second for `test_reply`, also if only one of them is left."""
    record(bare_project)
    change(bare_project)
    places, start = find_project(), entire(bare_project)
    reviewing(places, answers)
    end, moments = entire(bare_project), 0

    while True:
        restore(bare_project, start)
        moments += 1
        if not killed_at(moments, lambda: reviewing(places, answers), before=before):
            break
        reviewing(places, answers)
        assert entire(bare_project) == end, moments

    assert moments > 2


@pytest.mark.parametrize("command", ["accept", "reject"])
def test_names_without_a_pending_change_are_listed_and_the_rest_is_decided(
    bare_project: Project, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    record(bare_project)
    change(bare_project)
    tests = ["test_it.py::test_reply", "test_it.py::test_other"]
    main([command, tests[0]])
    capsys.readouterr()

    assert main([command, *tests]) == 0

    assert f"{tests[0]} has no pending change." in capsys.readouterr().err
    assert main([command, *tests]) == 2


def test_accept_works_if_the_base_already_holds_the_new_output(
    bare_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    record(bare_project)
    change(bare_project)
    before = bare_project.snapshots
    found = find_project().pending.read()
    for one in found:
        bare_project.write(one.text, one.compared)
    after = bare_project.snapshots

    assert main(["pending"]) == 1
    assert "stale" not in capsys.readouterr().out
    assert main(["accept", "--keep-old-as", "before-8", "--when", "pytest<8"]) == 2  # nobody has the old output
    assert "git checkout" in capsys.readouterr().err
    assert bare_project.snapshots == after != before
    assert main(["accept"]) == 0
    assert bare_project.snapshots == after


def test_the_next_run_removes_temporary_files_of_a_killed_run(bare_project: Project) -> None:
    record(bare_project)
    assert killed_at(1, lambda: change(bare_project), before=True)
    folder = bare_project.path / ".pytest_cache" / "d" / "hfmodels-pending"
    left = [path.name for path in folder.iterdir()]

    run(bare_project)

    assert [name for name in left if name.endswith(".tmp")]
    assert not [path for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_a_temporary_file_of_a_running_writer_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_hfmodels.foundation.files import write_atomically

    real = os.replace
    nested: list[None] = []

    def replace(*arguments: Any) -> None:
        if not nested:
            nested.append(None)
            write_atomically(tmp_path / "a.toml", "other")
        real(*arguments)

    monkeypatch.setattr(os, "replace", replace)

    write_atomically(tmp_path / "a.toml", "mine")

    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]
    assert (tmp_path / "a.toml").read_text() == "mine"
