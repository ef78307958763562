from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.files import write_atomically
from pytest_hfmodels.snapshots import dump, tolerance_for
from pytest_hfmodels.snapshots.format import read_snapshot
from pytest_hfmodels.snapshots.storage import Observation, TomlSnapshotExtension
from pytest_hfmodels.verdicts import Verdict

from ..example_records import STEPS, generation, moved

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

TWO = """
import pytest
from tests.example_records import generation

def test_one(hf_snapshot):
    assert generation() == hf_snapshot

def test_two(hf_snapshot):
    assert generation() == hf_snapshot
"""
PLAIN = """
from tests.example_records import generation

def test_model(hf_snapshot):
    assert generation() == hf_snapshot

def test_plain(snapshot):
    assert {"some": "value"} == snapshot

def test_leaving(snapshot):
    assert "text" == snapshot
"""


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


def test_what_is_written_keeps_the_digits_that_still_hold(tmp_path: Path) -> None:
    steps = moved(0, by=5e-5, steps=moved(1, by=0.25))

    assert observed(tmp_path, steps=steps).text == dump(generation(moved(1, by=0.25)))


@pytest.mark.parametrize("removed", ["test", "file", "skip", "deselect", "module"])
def test_nothing_is_deleted_that_was_not_asked_for(bare_project: Project, removed: str) -> None:
    bare_project.write(TWO)
    bare_project.run("--snapshot-update")
    before = bare_project.snapshots
    flags = ["--snapshot-update"]
    if removed == "test":
        bare_project.write(TWO.partition("def test_two")[0])
    elif removed == "file":
        (bare_project.path / "test_it.py").unlink()
        bare_project.write("def test_nothing(snapshot): pass", "test_other.py")
    elif removed == "skip":
        bare_project.write(TWO.replace("def test_two", "@pytest.mark.skip\ndef test_two"))
    elif removed == "deselect":
        flags += ["-k", "one"]
    else:
        bare_project.write(f'import pytest\npytest.importorskip("no_such_engine")\n{TWO}')
        bare_project.write("def test_nothing(hf_snapshot): pass", "test_other.py")

    result = bare_project.run(*flags)

    assert result.ret in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    result.stdout.no_fnmatch_line("* unused *")
    assert bare_project.snapshots == before


def test_a_project_s_plain_snapshots_are_syrupy_s_alone(bare_project: Project) -> None:
    bare_project.write(PLAIN)
    bare_project.run("--snapshot-update").stdout.fnmatch_lines(["3 snapshots generated."])
    plain = bare_project.path / "__snapshots__" / "test_it.ambr"
    whole, models = plain.read_text(), bare_project.snapshots
    bare_project.write(PLAIN.partition("def test_leaving")[0])

    unused = bare_project.run()
    pruned = bare_project.run("--snapshot-update")

    assert unused.ret == pytest.ExitCode.TESTS_FAILED
    unused.stdout.fnmatch_lines(["2 snapshots passed. 1 snapshot unused.", "Re-run pytest with --snapshot-update*"])
    pruned.assert_outcomes(passed=2)
    pruned.stdout.fnmatch_lines(["2 snapshots passed. 1 unused snapshot deleted."])
    assert "test_leaving" in whole
    assert "test_leaving" not in plain.read_text()
    assert "test_plain" in plain.read_text()
    assert bare_project.snapshots == models


def test_both_kinds_of_snapshot_serve_one_test(bare_project: Project) -> None:
    bare_project.write("""
from tests.example_records import generation

def test_it(hf_snapshot, snapshot):
    assert generation() == hf_snapshot
    assert {"some": "value"} == snapshot
    assert generation() == hf_snapshot
""")

    written = bare_project.run("--snapshot-update")
    after = bare_project.run()

    written.assert_outcomes(passed=1)
    after.assert_outcomes(passed=1)
    after.stdout.fnmatch_lines(["3 snapshots passed."])
    assert len(bare_project.snapshots) == 2
    assert len(list((bare_project.path / "__snapshots__").iterdir())) == 1


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, fail)

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")

    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.toml"]


def test_a_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    target = tmp_path / "kept" / "a.toml"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "a.toml"
    link.symlink_to(target)

    write_atomically(link, "new\r\n")

    assert link.is_symlink()
    assert target.read_bytes() == b"new\r\n"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_an_update_that_fails_loses_nothing(
    bare_project: Project, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    bare_project.write(TWO)
    bare_project.run("--snapshot-update")
    before = bare_project.snapshots
    bare_project.write(TWO.replace("generation()", "generation(())"))

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        result = bare_project.run("--snapshot-update")

    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*No space left on device*"])
    assert bare_project.snapshots == before


def test_what_utf_8_cannot_hold_is_refused_in_a_sentence(project: Project) -> None:
    project.write(
        "from tests.example_records import generation\n\n"
        "def test_model(hf_snapshot):\n"
        "    assert generation(text='half of a \\udcff character') == hf_snapshot\n"
    )

    result = project.run("--snapshot-update")

    result.stdout.fnmatch_lines(["*test_model.toml cannot hold what its test observed: a lone surrogate, '[\\]udcff'*"])
    assert not project.snapshots


def test_a_new_file_follows_the_umask_without_changing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(mask: int) -> int:
        raise AssertionError(f"the umask was set to {mask:o}")

    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "umask", refuse)
            write_atomically(tmp_path / "a.toml", "new")
    finally:
        os.umask(before)

    assert (tmp_path / "a.toml").stat().st_mode & 0o777 == 0o640
