"""Reads safetensors files: the library checks their headers, the tensors are mapped read-only.

For this folder, `engines` and the suites.
"""

from __future__ import annotations

import json
import math
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import folders
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_NUMPY_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
    "C64": "<c8",
}
_GIT_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: `start` and `stop` count bytes from the start of its file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    stop: int

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def read_weights(folder: Path) -> dict[str, NDArray[Any]]:
    """Read every tensor of a folder's safetensors file or shards.

    The arrays are copies in this process's memory: writing to one changes no file. BF16, which NumPy lacks, is widened
    to float32; each of its values is one exactly. Digests are taken from the stored bytes, not from these arrays.

    Args:
        folder: `Checkpoint.folder`.

    Raises:
        CheckpointError: a file is missing, damaged, or holds a dtype that NumPy cannot.
    """
    return {tensor.name: _as_array(tensor, raw) for tensor, raw in stored_tensors(folder)}


def stored_headers(folder: Path, form: folders.WeightFormat = folders.SAFETENSORS) -> dict[str, StoredTensor]:
    """Return every tensor's entry in the files' headers, by name; reads no tensor.

    Raises:
        CheckpointError: a file is missing or damaged, or index and shards disagree.
    """
    found: dict[str, StoredTensor] = {}
    for file in folders.weight_files(folder, form):
        for tensor in _header(file):
            if tensor.name in found:
                raise CheckpointError(
                    f"{tensor.name!r} is in both {found[tensor.name].file.name} and {file.name} of {folder}.",
                    hint=folders.SAVE_AGAIN,
                )
            found[tensor.name] = tensor
    if not (folder / form.single).is_file():
        for name, shard in folders.shard_map(folder, form).items():
            if name not in found or found[name].file.name != shard:
                raise CheckpointError(
                    f"{folder / form.index} says that {name!r} is in {shard}, but it is not.",
                    hint="Copy or download the index and all its shards again.",
                )
    return found


def stored_tensors(
    folder: Path, form: folders.WeightFormat = folders.SAFETENSORS
) -> Iterator[tuple[StoredTensor, memoryview]]:
    """Yield every tensor with its raw bytes, mapped read-only."""
    views: dict[Path, memoryview] = {}
    for tensor in stored_headers(folder, form).values():
        if tensor.file not in views:
            with tensor.file.open("rb") as file:
                # Left open on purpose: it closes with the last memoryview into it.
                views[tensor.file] = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        yield tensor, views[tensor.file][tensor.start : tensor.stop]


def same_bytes(folder: Path, names: Collection[str]) -> bool:
    """Return whether the named tensors have the same dtype, shape and bytes.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    found = [(tensor.dtype, tensor.shape, raw) for tensor, raw in stored_tensors(folder) if tensor.name in names]
    return all(tensor == found[0] for tensor in found)


def _header(file: Path) -> Iterator[StoredTensor]:
    # The library comes with an engine, and commands that read no weights need none.
    from safetensors import SafetensorError, safe_open

    with file.open("rb") as content:
        if content.read(len(_GIT_LFS_POINTER)) == _GIT_LFS_POINTER:
            raise CheckpointError(f"{file} is a Git LFS pointer, not the weights.", hint="Run: git lfs pull")
        try:
            # It checks the whole header: the tensors fill the file without gaps, overlaps or wrong sizes.
            with safe_open(file, framework="numpy"):
                pass
        except SafetensorError as error:
            raise CheckpointError(
                f"{file} is cut off, damaged, or not a safetensors file: {error}.",
                hint=f"Copy or download the file again. Or: {folders.SAVE_AGAIN}",
            ) from error
        content.seek(0)
        data_start = 8 + int.from_bytes(content.read(8), "little")
        header = json.loads(content.read(data_start - 8))
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            shape = tuple(entry["shape"])
            yield StoredTensor(name, entry["dtype"], shape, file, data_start + start, data_start + stop)


def _as_array(tensor: StoredTensor, raw: memoryview) -> NDArray[Any]:
    # NumPy costs a tenth of a second, and a session may never read a weight.
    import numpy as np

    if tensor.dtype == "BF16":
        wide = np.frombuffer(raw, "<u2").astype("<u4") << 16
        return wide.view("<f4").reshape(tensor.shape)
    if tensor.dtype not in _NUMPY_DTYPES:
        raise CheckpointError(
            f"{tensor.file} stores {tensor.name!r} as {tensor.dtype}, which NumPy does not have.",
            hint="Save the checkpoint in float32, float16 or bfloat16.",
        )
    return np.frombuffer(raw, _NUMPY_DTYPES[tensor.dtype]).reshape(tensor.shape).copy()
