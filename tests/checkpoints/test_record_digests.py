from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.checkpoints import bundled_files, record_digests
from pytest_hfmodels.checkpoints.digests import folder_digests
from pytest_hfmodels.errors import CheckpointError

from .tiny_checkpoint import checkpoint_files, write_files

if TYPE_CHECKING:
    from pathlib import Path


def test_the_record_holds_every_checkpoint(tmp_path: Path) -> None:
    write_files(tmp_path / "two", checkpoint_files())
    write_files(tmp_path / "one", checkpoint_files() | {"merges.txt": b"other"})
    write_files(tmp_path / "no-checkpoint", {"README.md": b""})

    names = record_digests.record_digests(tmp_path)

    recorded = tomllib.loads((tmp_path / "digests.toml").read_text())
    assert names == ("one", "two")
    assert recorded == {name: vars(folder_digests(tmp_path / name)) for name in names}


def test_recording_again_changes_nothing(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", checkpoint_files())
    record_digests.record_digests(tmp_path)
    before = (tmp_path / "digests.toml").read_bytes()

    record_digests.record_digests(tmp_path)

    assert (tmp_path / "digests.toml").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digests.toml", "tiny"]


def test_a_damaged_checkpoint_leaves_the_old_record(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", checkpoint_files())
    record_digests.record_digests(tmp_path)
    before = (tmp_path / "digests.toml").read_bytes()
    write_files(tmp_path / "tiny", {"model.safetensors": b""})

    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        record_digests.record_digests(tmp_path)

    assert (tmp_path / "digests.toml").read_bytes() == before


def test_the_command_says_what_it_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path / "tiny", checkpoint_files())
    monkeypatch.setattr(record_digests, "BUNDLED", tmp_path)

    assert record_digests.main() == 0
    assert capsys.readouterr().out == f"{tmp_path / bundled_files.DIGESTS}: tiny\n"


def test_the_command_fails_on_a_damaged_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_files(tmp_path / "tiny", {**checkpoint_files(), "model.safetensors": b""})
    monkeypatch.setattr(record_digests, "BUNDLED", tmp_path)

    assert record_digests.main() == 1
    assert "is not a safetensors file" in capsys.readouterr().err
