from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.checkpoints.bundled_files import bundled_checkpoint, bundled_names
from pytest_hfmodels.checkpoints.digests import folder_digests
from pytest_hfmodels.checkpoints.record_digests import record_digests
from pytest_hfmodels.errors import CheckpointError

from .tiny_checkpoint import checkpoint_files, write_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    write_files(tmp_path / "tiny", checkpoint_files())
    record_digests(tmp_path)
    return tmp_path


def refused(bundled: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        bundled_checkpoint("tiny", bundled)
    return str(raised.value)


def test_a_bundled_checkpoint_is_what_was_recorded(bundled: Path) -> None:
    folder, digests = bundled_checkpoint("tiny", bundled)

    assert folder == bundled / "tiny"
    assert digests == folder_digests(folder)
    assert bundled_names(bundled) == ("tiny",)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", b'{"n_layer": 3}', "the config of"),
        ("vocab.json", b"{}", "the tokenizer of"),
        ("model.safetensors", checkpoint_files()["model.safetensors"][:-1] + b"\x00", "the weights of"),
        ("model.safetensors", checkpoint_files()["model.safetensors"][:-1], "is cut off"),
        ("config.json", b"", "config.json is not JSON"),
    ],
)
def test_a_damaged_file_asks_for_a_new_installation(bundled: Path, file: str, content: bytes, said: str) -> None:
    write_files(bundled / "tiny", {file: content})

    message = refused(bundled)

    assert "the installed files are damaged: " in message
    assert said in message
    assert "pip install --force-reinstall --no-deps pytest-hfmodels" in message


def test_a_lost_file_asks_for_a_new_installation(bundled: Path) -> None:
    for path in (bundled / "tiny").iterdir():
        path.unlink()

    assert bundled_names(bundled) == ("tiny",)
    assert "pip install --force-reinstall" in refused(bundled)


def test_a_checkpoint_without_a_record_asks_for_one(tmp_path: Path) -> None:
    write_files(tmp_path / "tiny", checkpoint_files())

    assert bundled_names(tmp_path) == ("tiny",)
    assert "Run: python -m pytest_hfmodels.checkpoints.record_digests" in refused(tmp_path)


@pytest.mark.parametrize("content", ["tiny = ", "tiny = 1", "[tiny]\nweights = 1"])
def test_a_damaged_record(bundled: Path, content: str) -> None:
    (bundled / "digests.toml").write_text(content)

    message = refused(bundled)

    assert "digests.toml is damaged" in message
    assert "pip install --force-reinstall" in message


def test_nothing_bundled(tmp_path: Path) -> None:
    assert bundled_names(tmp_path / "absent") == ()
