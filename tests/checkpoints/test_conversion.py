from __future__ import annotations

import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from pytest_hfmodels.checkpoints import read_weights, resolve
from pytest_hfmodels.checkpoints.conversion import cache_folder, safe_folder
from pytest_hfmodels.checkpoints.digests import folder_digests
from pytest_hfmodels.foundation.errors import CheckpointError, EngineUnavailable

from .tiny_checkpoint import TouchesAFile, checkpoint_files, write_files

if TYPE_CHECKING:
    from pathlib import Path

torch: Any = pytest.importorskip("torch")

SIDECARS = {name: content for name, content in checkpoint_files().items() if name != "model.safetensors"}


def bin_folder(folder: Path, state: object) -> Path:
    write_files(folder, SIDECARS)
    torch.save(state, folder / "pytorch_model.bin")
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        safe_folder(folder)
    converted = cache_folder() / "converted"
    assert [path for path in converted.glob("*") if path.suffix != ".lock"] == []
    return str(raised.value)


def test_safetensors_are_used_in_place(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {**checkpoint_files(), "pytorch_model.bin": b"never read"})

    assert safe_folder(folder) == folder


def test_a_converted_folder_is_the_same_checkpoint(tmp_path: Path) -> None:
    same = write_files(tmp_path / "safetensors", checkpoint_files())
    state = {name: torch.from_numpy(array) for name, array in read_weights(same).items()}
    folder = bin_folder(tmp_path / "bin", state)

    converted = safe_folder(folder)

    assert converted.is_relative_to(tmp_path / "plugin-cache")
    assert folder_digests(converted) == folder_digests(same)
    assert sorted(path.name for path in converted.iterdir()) == sorted(checkpoint_files())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64", "uint8", "bool", "complex64"])
def test_every_dtype_survives_conversion(tmp_path: Path, dtype: str) -> None:
    tensor = torch.tensor([[0, 1], [1, 1]], dtype=getattr(torch, dtype))

    converted = safe_folder(bin_folder(tmp_path / "bin", {"w": tensor}))

    weights = read_weights(converted)
    assert torch.equal(torch.from_numpy(weights["w"]).to(tensor.dtype), tensor)


def test_tied_and_transposed_tensors_keep_their_names_and_values(tmp_path: Path) -> None:
    embedding = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    state = {"wte.weight": embedding, "lm_head.weight": embedding, "transposed": embedding.detach().T}

    weights = read_weights(safe_folder(bin_folder(tmp_path / "bin", state)))

    assert weights.keys() == state.keys()
    assert weights["lm_head.weight"].tolist() == weights["wte.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert weights["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_sharded_bin_becomes_one_file(tmp_path: Path) -> None:
    shards = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    index = json.dumps({"weight_map": shards}).encode()
    folder = write_files(tmp_path / "bin", {**SIDECARS, "pytorch_model.bin.index.json": index})
    for name, shard in shards.items():
        torch.save({name: torch.ones(2)}, folder / shard)

    assert read_weights(safe_folder(folder)).keys() == {"a", "b"}


def test_weights_are_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(2)})
    converted = safe_folder(folder)
    monkeypatch.setitem(sys.modules, "torch", None)

    assert safe_folder(folder) == converted


def test_two_sessions_convert_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(2)})
    loads = mock.Mock(wraps=torch.load)
    monkeypatch.setattr(torch, "load", loads)

    with ThreadPoolExecutor(4) as sessions:
        converted = set(sessions.map(safe_folder, [folder] * 4))

    assert len(converted) == loads.call_count == 1


@pytest.mark.parametrize("file", ["pytorch_model.bin", "config.json", "merges.txt"])
def test_a_changed_file_is_another_checkpoint(tmp_path: Path, file: str) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(2)})
    before = safe_folder(folder)
    if file == "pytorch_model.bin":
        torch.save({"w": torch.zeros(2)}, folder / file)
    else:
        write_files(folder, {file: b'{"other": 1}'})

    after = safe_folder(folder)

    assert after != before
    assert folder_digests(after) != folder_digests(before)


def test_a_damaged_conversion_is_made_again(tmp_path: Path) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(2)})
    converted = safe_folder(folder) / "model.safetensors"
    whole = converted.read_bytes()
    converted.write_bytes(whole[:-1])

    safe_folder(folder)

    assert converted.read_bytes() == whole


@pytest.mark.parametrize("forced", [False, True], ids=["", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
@pytest.mark.parametrize("container", ["zip", "old torch", "pickle"])
def test_a_hostile_pickle_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str, forced: bool
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    state = {"w": torch.ones(1), "hostile": TouchesAFile(tmp_path / "touched")}
    folder = write_files(tmp_path / "bin", SIDECARS)
    if container == "pickle":
        write_files(folder, {"pytorch_model.bin": pickle.dumps(state["hostile"])})
    else:
        torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=container == "zip")

    message = refused(folder)

    assert "pytorch_model.bin was refused, and nothing in it was run" in message
    assert "Get it again from where you trust it." in message
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "state",
    [
        {"w": torch.ones(1), "epoch": 3},
        {"w": {"v": torch.ones(1)}},
        {1: torch.ones(1)},
        torch.ones(1),
        {"w": torch.ones(2, 2).to_sparse()},
        {"w": torch.ones(2, 2, device="meta")},
        {},
    ],
    ids=["number", "nested", "key", "tensor", "sparse", "meta", "empty"],
)
def test_anything_but_named_tensors_is_refused(tmp_path: Path, state: object) -> None:
    message = refused(bin_folder(tmp_path / "bin", state))

    assert "something other than named tensors" in message or "cannot be saved as safetensors" in message
    assert "safe_serialization=True" in message or "dense float weights" in message


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04words", None], ids=["", "text", "zip", "cut off"])
def test_a_damaged_bin_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = bin_folder(tmp_path / "bin", {"w": torch.ones(100)}) / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)

    assert "pytorch_model.bin was refused" in refused(file.parent)


def test_a_torch_without_a_safe_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(1)})
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")

    message = refused(folder)

    assert "was not read: torch 2.5.1+cpu has no weights-only reader that is safe" in message
    assert "Install torch>=2.6." in message


def test_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(1)})
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(EngineUnavailable, match=r"cannot be read without an engine: .*torch"):
        resolve(str(folder), rootdir=tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bin_folder(tmp_path / "bin", {"w": torch.ones(1)})
    monkeypatch.setenv("PYTEST_HFMODELS_CACHE", str(folder / "config.json"))

    message = refused(folder)

    assert "the converted checkpoint cannot be written to" in message
    assert "Set PYTEST_HFMODELS_CACHE to a folder that can be written to." in message


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_the_cache_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_HFMODELS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_folder() == tmp_path / "pytest-hfmodels"
