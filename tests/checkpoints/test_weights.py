from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.checkpoints import read_weights
from pytest_hfmodels.foundation.errors import CheckpointError

from .tiny_checkpoint import TENSORS, checkpoint_files, safetensors_bytes, sharded_files, with_header, write_files

if TYPE_CHECKING:
    from pathlib import Path

np = pytest.importorskip("numpy")


def weights_of(folder: Path, content: bytes) -> Path:
    return write_files(folder, {"model.safetensors": content})


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        read_weights(folder)
    return str(raised.value)


def test_every_tensor_is_read(tmp_path: Path) -> None:
    weights = read_weights(write_files(tmp_path, checkpoint_files()))

    assert list(weights) == list(TENSORS)
    np.testing.assert_array_equal(weights["wte.weight"], np.arange(6, dtype="f4").reshape(2, 3), strict=True)
    np.testing.assert_array_equal(weights["ln.bias"], np.array([-1.5, 2.5], "f4"), strict=True)
    np.testing.assert_array_equal(weights["mask"], np.array([True, False, True]), strict=True)


def test_files_of_the_safetensors_library_are_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    dtypes = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
    written = {dtype: np.arange(4).astype(dtype) for dtype in dtypes}
    written |= {"scalar": np.array(3.5), "empty": np.zeros((0, 3), "f4")}
    library.save_file(written, tmp_path / "model.safetensors")

    weights = read_weights(tmp_path)

    assert weights.keys() == written.keys()
    for name in written:
        np.testing.assert_array_equal(weights[name], written[name], strict=True)


def test_bfloat16_becomes_float32_exactly(tmp_path: Path) -> None:
    upper_halves = [0x3F80, 0xC2F7, 0x7F80, 0x0001]
    raw = struct.pack("<4H", *upper_halves)

    weights = read_weights(weights_of(tmp_path, safetensors_bytes({"w": ("BF16", (2, 2), raw)})))

    assert weights["w"].dtype == np.float32
    assert weights["w"].shape == (2, 2)
    assert weights["w"].view("u4").ravel().tolist() == [half << 16 for half in upper_halves]
    assert weights["w"][0].tolist() == [1.0, -123.5]


def test_writing_to_a_tensor_changes_no_file(tmp_path: Path) -> None:
    folder = write_files(tmp_path, checkpoint_files())

    for tensor in read_weights(folder).values():
        tensor[...] = 1

    assert (folder / "model.safetensors").read_bytes() == safetensors_bytes()


def test_a_file_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    folder = write_files(tmp_path, checkpoint_files())
    (folder / "model.safetensors").chmod(0o400)

    assert read_weights(folder).keys() == TENSORS.keys()


def test_links_to_shards_are_followed(tmp_path: Path) -> None:
    write_files(tmp_path / "blobs", sharded_files())
    (tmp_path / "snapshot").mkdir()
    for name in sharded_files():
        (tmp_path / "snapshot" / name).symlink_to(f"../blobs/{name}")

    weights, single = read_weights(tmp_path / "snapshot"), read_weights(write_files(tmp_path, checkpoint_files()))
    assert weights.keys() == single.keys()
    assert all(np.array_equal(weights[name], single[name]) for name in single)


def test_eight_bit_floats_are_refused(tmp_path: Path) -> None:
    message = refused(weights_of(tmp_path, safetensors_bytes({"w": ("F8_E4M3", (2,), b"ab")})))

    assert "model.safetensors stores 'w' as F8_E4M3, which NumPy does not have." in message
    assert "Save the checkpoint in float32, float16 or bfloat16." in message


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    message = refused(weights_of(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))

    assert "is a Git LFS pointer, not the weights." in message
    assert "Run: git lfs pull" in message


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


ENTRY = entry()
WHOLE = safetensors_bytes()
DAMAGED = {
    "empty": b"",
    "short": b"short",
    "zip": b"PK\x03\x04" + b"\x00" * 100,
    "text": b"not safetensors at all",
    "data cut off": WHOLE[:-1],
    "header cut off": WHOLE[:20],
    "more than its tensors": WHOLE + b"more",
    "unknown dtype": with_header({"w": entry(dtype="F99")}, b"abcd"),
    "another size": with_header({"w": entry(shape=[2])}, b"abcd"),
    "negative size": with_header({"w": entry(shape=[-1])}, b"abcd"),
    "a size that is no number": with_header({"w": entry(shape=[True])}, b"abcd"),
    "one offset": with_header({"w": entry(offsets=[0])}, b"abcd"),
    "no entry": with_header({"w": 1}, b"abcd"),
    "no JSON": with_header(b'{"w": ', b"abcd"),
    "an overlap": with_header({"v": ENTRY, "w": ENTRY}, b"abcd"),
    "a hole": with_header({"v": entry(offsets=(1, 5))}, b"abcde"),
    "two of one name": with_header(b'{"w": {}, "w": {}}', b"abcd"),
    "nested": with_header(b"[" * 100_000, b""),
    "a header of all bytes": b"\xff" * 8 + b"{}",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    message = refused(weights_of(tmp_path, content))

    assert "model.safetensors is cut off, damaged, or not a safetensors file" in message
    assert "Copy or download the file again." in message


def test_a_missing_shard(tmp_path: Path) -> None:
    folder = write_files(tmp_path, sharded_files())
    (folder / "model-00002-of-00003.safetensors").unlink()

    message = refused(folder)

    assert "model.safetensors.index.json names the shard model-00002-of-00003.safetensors, which is not in" in message
    assert "Copy or download the missing shard." in message


def reindexed(folder: Path, weight_map: object) -> Path:
    index = json.dumps({"weight_map": weight_map}).encode()
    return write_files(folder, sharded_files() | {"model.safetensors.index.json": index})


@pytest.mark.parametrize(
    "name",
    ["../outside.safetensors", "/outside.safetensors", "a/b.safetensors", "..\\w.safetensors", "C:w", "", "..", 1],
)
def test_an_index_that_leads_out_of_the_folder(tmp_path: Path, name: object) -> None:
    write_files(tmp_path, {"outside.safetensors": safetensors_bytes()})

    message = refused(reindexed(tmp_path / "folder", {"w": name}))

    assert f"model.safetensors.index.json names {name!r}, which is not a file beside it; nothing was read." in message


def test_an_index_that_names_another_format(tmp_path: Path) -> None:
    message = refused(reindexed(tmp_path, {"w": "pytorch_model.bin"}))

    assert "names 'pytorch_model.bin', which is not a model.safetensors shard." in message


@pytest.mark.parametrize("weight_map", [None, {}, []])
def test_an_index_of_nothing(tmp_path: Path, weight_map: object) -> None:
    assert "model.safetensors.index.json has no weight_map." in refused(reindexed(tmp_path, weight_map))


def test_an_index_and_shards_that_disagree(tmp_path: Path) -> None:
    message = refused(reindexed(tmp_path, {"absent": "model-00001-of-00003.safetensors"}))

    assert "says that 'absent' is in model-00001-of-00003.safetensors, but it is not." in message


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    write_files(tmp_path, sharded_files())
    write_files(tmp_path, {"model-00002-of-00003.safetensors": safetensors_bytes()})

    message = refused(tmp_path)

    assert "'wte.weight' is in both model-00001-of-00003.safetensors and model-00002-of-00003.safetensors" in message
