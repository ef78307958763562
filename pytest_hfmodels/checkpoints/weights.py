"""Reading safetensors files: the header checked first, then the tensors, always read-only.

For this room; `read_weights` for `engines`.
"""

from __future__ import annotations

import json
import math
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import folders
from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # the format's own limit
_ITEM_BYTES = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1}
_ITEM_BYTES |= {"U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4}
_ITEM_BYTES |= {"U64": 8, "I64": 8, "F64": 8, "C64": 8}
_NUMPY_DTYPES = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2"}
_NUMPY_DTYPES |= {"U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8"}
_NUMPY_DTYPES |= {"F64": "<f8", "C64": "<c8"}
_GET_AGAIN = "Copy or download the file again."
_GIT_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies in its file; `start` and `stop` count bytes from the file's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """Read every tensor of a folder's safetensors file or shards.

    The arrays are copies in this process's memory: writing to one changes no file. BF16, which
    NumPy lacks, is widened to float32; each of its values is one exactly. Digests are taken from
    the stored bytes, not from these arrays.

    Args:
        folder: `Checkpoint.folder`.

    Raises:
        CheckpointError: a file is missing, damaged, or holds a dtype that NumPy cannot.
    """
    return {tensor.name: _as_array(tensor, raw, path) for path in weight_files(folder) for tensor, raw in _mapped(path)}


def stored_tensors(folder: Path) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
    """Yield name, dtype, shape and raw bytes of every tensor, the bytes mapped read-only.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    for path in weight_files(folder):
        for tensor, raw in _mapped(path):
            yield tensor.name, tensor.dtype, tensor.shape, raw


def stored_headers(folder: Path) -> dict[str, StoredTensor]:
    """Return every tensor's entry in the files' headers, by name; reads no tensor.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    return {tensor.name: tensor for path in weight_files(folder) for tensor in read_header(path)}


def same_bytes(folder: Path, names: Collection[str]) -> bool:
    """Return whether the named tensors have the same dtype, shape and bytes.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    first: tuple[str, tuple[int, ...], memoryview] | None = None
    for name, dtype, shape, raw in stored_tensors(folder):
        if name not in names:
            continue
        if first is None:
            first = (dtype, shape, raw)
        elif (dtype, shape) != first[:2] or raw != first[2]:
            return False
    return True


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the folder's safetensors files after checking their headers and their index.

    Raises:
        CheckpointError: a file is missing or damaged, or index and shards disagree.
    """
    files = folders.weight_files(folder, folders.SAFETENSORS)
    found: dict[str, str] = {}
    for path in files:
        for tensor in read_header(path):
            if tensor.name in found:
                raise CheckpointError(
                    f"{tensor.name!r} is in both {found[tensor.name]} and {path.name} of {folder}.",
                    hint=folders.SAVE_AGAIN,
                )
            found[tensor.name] = path.name
    if not (folder / folders.SAFETENSORS.single).is_file():
        _check_index(folder / folders.SAFETENSORS.index, found)
    return files


def read_header(path: Path) -> tuple[StoredTensor, ...]:
    """Read and check a safetensors header: the tensors must fill the file exactly.

    Raises:
        CheckpointError: the file is cut off, or is no safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(_GIT_LFS_POINTER))
        if start == _GIT_LFS_POINTER:
            raise CheckpointError(f"{path} is a Git LFS pointer, not the weights.", hint="Run: git lfs pull")
        length = int.from_bytes(start[:_LENGTH_BYTES], "little")
        if len(start) < _LENGTH_BYTES or length > _LONGEST_HEADER or start[8:9] not in (b"{", b""):
            raise CheckpointError(f"{path} is not a safetensors file.", hint=folders.SAVE_AGAIN)
        data_start = _LENGTH_BYTES + length
        if data_start > size:
            raise CheckpointError(
                f"{path} is cut off: its header alone needs {data_start} bytes, it has {size}.",
                hint=_GET_AGAIN,
            )
        file.seek(_LENGTH_BYTES)
        tensors = _parse_header(file.read(length), data_start, path)
    _check_coverage(tensors, data_start, size, path)
    return tensors


def _parse_header(text: bytes, data_start: int, path: Path) -> tuple[StoredTensor, ...]:
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
        return tuple(
            _stored_tensor(name, entry, data_start) for name, entry in header.items() if name != "__metadata__"
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} has a header that no safetensors file has: {error}.", hint=_GET_AGAIN) from error


def _stored_tensor(name: str, entry: dict[str, Any], data_start: int) -> StoredTensor:
    dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if dtype not in _ITEM_BYTES:
        raise ValueError(f"{name!r} has the unknown dtype {dtype!r}")
    if any(type(number) is not int or number < 0 for number in (*shape, start, stop)):
        raise ValueError(f"{name!r} has a shape or offsets that are not sizes")
    if stop - start != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise ValueError(f"{name!r} is {stop - start} bytes, which is not {dtype} {list(shape)}")
    return StoredTensor(name, dtype, shape, data_start + start, data_start + stop)


def _check_coverage(tensors: tuple[StoredTensor, ...], data_start: int, size: int, path: Path) -> None:
    end = data_start
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.stop)):
        if tensor.start != end:
            raise CheckpointError(
                f"{path} is damaged: {tensor.name!r} does not start where the one before it ends.",
                hint=_GET_AGAIN,
            )
        end = tensor.stop
    if end != size:
        what = "is cut off" if end > size else "has bytes that belong to no tensor"
        raise CheckpointError(f"{path} {what}: its tensors end at byte {end}, the file at {size}.", hint=_GET_AGAIN)


def _check_index(index: Path, found: dict[str, str]) -> None:
    for name, shard in folders.shard_map(index, folders.SAFETENSORS).items():
        if found.get(name) != shard:
            raise CheckpointError(
                f"{index} says that {name!r} is in {shard}, and it is not.",
                hint="Copy or download the index and all its shards again.",
            )


def _mapped(path: Path) -> Iterator[tuple[StoredTensor, memoryview]]:
    with path.open("rb") as file:
        # Left open on purpose: it closes with the last memoryview into it.
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    for tensor in read_header(path):
        yield tensor, view[tensor.start : tensor.stop]


def _as_array(tensor: StoredTensor, raw: memoryview, path: Path) -> NDArray[Any]:
    # NumPy costs a tenth of a second, and a session may never read a weight.
    import numpy as np

    if tensor.dtype == "BF16":
        wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(tensor.shape)
    if tensor.dtype not in _NUMPY_DTYPES:
        raise CheckpointError(
            f"{path} stores {tensor.name!r} as {tensor.dtype}, which NumPy does not have.",
            hint="Save the checkpoint in float32, float16 or bfloat16.",
        )
    return np.frombuffer(raw, _NUMPY_DTYPES[tensor.dtype]).reshape(tensor.shape).copy()


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("a name appears twice")
    return entries
