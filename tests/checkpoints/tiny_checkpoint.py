"""Checkpoint folders made by hand, small enough to read in a failure.

For the tests of this folder.
"""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]

CONFIG = {"model_type": "gpt2", "n_layer": 2, "vocab_size": 50}
TENSORS: Tensors = {
    "wte.weight": ("F32", (2, 3), struct.pack("<6f", *range(6))),
    "ln.bias": ("F32", (2,), struct.pack("<2f", -1.5, 2.5)),
    "mask": ("BOOL", (3,), b"\x01\x00\x01"),
}


class TouchesAFile:
    """What a hostile pickle does: run something while it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def safetensors_bytes(tensors: Tensors = TENSORS, *, order: Mapping[str, int] | None = None) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, raw) in sorted(tensors.items(), key=lambda item: (order or {}).get(item[0], 0)):
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    return with_header(header, data)


def with_header(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def checkpoint_files(tensors: Tensors = TENSORS) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "vocab.json": b'{"a": 0}',
        "merges.txt": b"#version: 0.2\n",
        "model.safetensors": safetensors_bytes(tensors),
    }


def sharded_files(tensors: Tensors = TENSORS) -> dict[str, bytes]:
    files = checkpoint_files(tensors)
    del files["model.safetensors"]
    weight_map = {}
    for number, (name, tensor) in enumerate(tensors.items(), start=1):
        shard = f"model-{number:05}-of-{len(tensors):05}.safetensors"
        files[shard] = safetensors_bytes({name: tensor})
        weight_map[name] = shard
    files["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    return files


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
