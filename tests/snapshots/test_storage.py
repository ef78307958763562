"""How syrupy keeps our files, and how files are written."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.foundation.files import write_atomically
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.snapshots import dump, tolerance_for
from pytest_hfmodels.snapshots.format import read_snapshot
from pytest_hfmodels.snapshots.storage import Observation, TomlSnapshotExtension

from ..example_records import STEPS, generation, moved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..project import Project

IMPORT = "from tests.example_records import generation\n"
ONE = f"{IMPORT}\ndef test_one(hf_snapshot):\n    assert generation() == hf_snapshot\n"
TWO = f"{ONE}\ndef test_two(hf_snapshot):\n    assert generation() == hf_snapshot\n"
PLAIN = f"{ONE}\ndef test_plain(snapshot):\n    assert {{'some': 'value'}} == snapshot\n"
LEAVING = "\ndef test_leaving(snapshot):\n    assert 'text' == snapshot\n"


def observed(tmp_path: Path, **changes: Any) -> Observation:
    """Return a record beside the snapshot of one that differs by `changes`."""
    path = tmp_path / "a.toml"
    path.write_text(dump(generation()))
    tolerance = tolerance_for("float32", same_engine=True)
    return Observation(generation(**changes), path, read_snapshot(path), tolerance, frozenset({Verdict.SAME}))


@pytest.mark.parametrize(("steps", "same"), [(moved(0, by=5e-5), True), (STEPS[:2], False)])
def test_a_record_is_compared_as_a_record_and_not_as_text(tmp_path: Path, steps: Any, *, same: bool) -> None:
    extension = TomlSnapshotExtension()
    extension.observation = observed(tmp_path, steps=steps)

    text = str(extension.serialize(None))

    assert extension.matches(serialized_data=text, snapshot_data=dump(generation())) is same


def test_the_text_of_a_record_that_matches_is_not_written(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write(ONE)
    bare_project.run("--snapshot-update")
    before = bare_project.snapshots

    monkeypatch.setattr("pytest_hfmodels.snapshots.storage.files", pytest.fail)

    bare_project.run().assert_outcomes(passed=1)
    bare_project.run("--snapshot-update").assert_outcomes(passed=1)
    assert bare_project.snapshots == before


def test_what_is_written_keeps_the_digits_that_still_hold(tmp_path: Path) -> None:
    steps = moved(0, by=5e-5, steps=moved(1, by=0.25))

    assert observed(tmp_path, steps=steps).text == dump(generation(moved(1, by=0.25)))


@pytest.mark.parametrize(
    ("now", "flags"),
    [
        (ONE, ()),
        (None, ()),
        (TWO.replace("def test_two", "import pytest\n@pytest.mark.skip\ndef test_two"), ()),
        (TWO, ("-k", "one")),
        (f'import pytest\npytest.importorskip("no_such_engine")\n{TWO}', ()),
    ],
    ids=["test", "file", "skip", "deselect", "module"],
)
def test_nothing_is_deleted_that_was_not_asked_for(
    bare_project: Project, now: str | None, flags: tuple[str, ...]
) -> None:
    bare_project.write(TWO)
    bare_project.run("--snapshot-update")
    before = bare_project.snapshots
    file = bare_project.write(now or "")
    if now is None:
        file.unlink()
    bare_project.write("def test_nothing(hf_snapshot, snapshot): pass", "test_other.py")

    result = bare_project.run("--snapshot-update", *flags)

    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    result.stdout.no_fnmatch_line("* unused *")
    assert bare_project.snapshots == before


def test_a_project_s_plain_snapshots_are_syrupy_s_alone(bare_project: Project) -> None:
    bare_project.write(PLAIN + LEAVING)
    bare_project.run("--snapshot-update").stdout.fnmatch_lines(["3 snapshots generated."])
    plain, models = bare_project.path / "__snapshots__" / "test_it.ambr", bare_project.snapshots
    bare_project.write(PLAIN)

    unused = bare_project.run()
    pruned = bare_project.run("--snapshot-update")

    assert unused.ret == pytest.ExitCode.TESTS_FAILED
    unused.stdout.fnmatch_lines(["2 snapshots passed. 1 snapshot unused.", "Re-run pytest with --snapshot-update*"])
    pruned.stdout.fnmatch_lines(["2 snapshots passed. 1 unused snapshot deleted."])
    assert [name for name in ("test_leaving", "test_plain") if name in plain.read_text()] == ["test_plain"]
    assert bare_project.snapshots == models


def test_both_kinds_of_snapshot_serve_one_test(bare_project: Project) -> None:
    both = "    assert {'some': 'value'} == snapshot\n    assert generation() == hf_snapshot\n"
    bare_project.write(ONE.replace("(hf_snapshot)", "(hf_snapshot, snapshot)") + both)

    bare_project.run("--snapshot-update").assert_outcomes(passed=1)

    bare_project.run().stdout.fnmatch_lines(["3 snapshots passed."])
    assert len(bare_project.snapshots) == 2
    assert len(list((bare_project.path / "__snapshots__").iterdir())) == 1


@pytest.fixture(params=["replace", "fsync"])
def full_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """Return what fills the disk."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda: monkeypatch.setattr(os, request.param, fail)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, full_disk: Callable[[], object]) -> None:
    (tmp_path / "a.toml").write_text("old")
    full_disk()

    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a.toml", "new")

    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.toml": "old"}


def test_an_update_that_fails_loses_nothing(
    bare_project: Project, full_disk: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare_project.write(TWO)
    bare_project.run("--snapshot-update")
    before = bare_project.snapshots
    bare_project.write(TWO.replace("generation()", "generation(())"))
    full_disk()

    result = bare_project.run("--snapshot-update")

    monkeypatch.undo()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*No space left on device*"])
    assert bare_project.snapshots == before


def test_what_utf_8_cannot_hold_is_refused(bare_project: Project) -> None:
    bare_project.write(ONE.replace("generation()", "generation(text='half of a \\udcff character')"))

    result = bare_project.run("--snapshot-update")

    result.stdout.fnmatch_lines(["*test_one.toml cannot hold what its test observed: a lone surrogate, '[\\]udcff'*"])
    assert not bare_project.snapshots


def test_a_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.toml", tmp_path / "a.toml"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)

    write_atomically(link, "new\r\n")

    assert link.is_symlink()
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new\r\n", 0o640)


def test_a_new_file_follows_the_umask_without_changing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "umask", lambda mask: pytest.fail(f"the umask was set to {mask:o}"))
            write_atomically(tmp_path / "a.toml", "new")
    finally:
        os.umask(before)

    assert (tmp_path / "a.toml").stat().st_mode & 0o777 == 0o640
