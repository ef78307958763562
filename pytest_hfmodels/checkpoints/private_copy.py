"""Copies the known files of a checkpoint into a private folder, from which upstream loads it.

For `engines` and `models`, through the package. Upstream also reads other files: 4.57 runs
`custom_generate/generate.py`, `adapter_config.json` names another model, a tokenizer's file may name a pickle.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import folders
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# Fields that name code, or files outside the folder.
_OUTSIDE_FIELDS = re.compile(
    r"auto_map|trust_remote_code|custom_generate|custom_pipelines|transformers_weights|init_inputs|_commit_hash"
    r"|_?name_or_path|\w+_files?"
)
# Fields that hold the name of an implementation, or a Hub repo whose kernels would run.
_IMPLEMENTATION = re.compile(r"\w*_implementation(_\w+)?")
_WORD = re.compile(r"\w+", re.ASCII)
_READ_FIELDS = (
    *(folders.CONFIG, folders.GENERATION_CONFIG, "tokenizer_config.json", "special_tokens_map.json"),
    *(*folders.PREPROCESSOR_FILES, "chat_template.json"),
)
_CHARSMAP = re.compile(rb'"precompiled_charsmap"\s*:\s*"([^"]*)"')
_PARTS = ("vocab", "merges")  # transformers 5 takes the path of a file for either


def fill_private_copy(folder: Path, target: Path, *, processor: Path | None = None) -> None:
    """Put the config, the files of the processor and the safetensors of `folder` into the empty folder `target`.

    Weights are linked, not copied. Fields that name code or files elsewhere are removed from JSON files.

    Args:
        folder: a checkpoint.
        target: empty.
        processor: where the files of the processor are taken from instead.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    elsewhere = processor is not None and processor != folder
    _copy(folder, (folders.CONFIG,) if elsewhere else None, target)
    if processor is not None and elsewhere:
        _copy(processor, None, target)
    for path in folders.weight_files(folder, folders.SAFETENSORS):
        _link(path, target / path.name)


def _copy(folder: Path, names: Collection[str] | None, target: Path) -> None:
    for name, content in folders.read_sidecars(folder, names).items():
        if name in _READ_FIELDS:
            fields = _without_outside_fields(folders.read_json_object(folder / name))
            (target / name).write_text(json.dumps(fields), encoding="utf-8")
            continue
        if name == "tokenizer.json":
            _refuse_broken_normalizer(folder / name, content)
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_bytes(content)


def _refuse_broken_normalizer(path: Path, content: bytes) -> None:
    """Refuse a SentencePiece character map with a false length: tokenizers would allocate that much memory.

    The first four bytes are the little-endian length of the trie that follows.
    """
    for found in _CHARSMAP.finditer(content):
        try:
            charsmap = base64.b64decode(found[1])
        except ValueError:  # tokenizers refuses it without allocating memory
            continue
        if len(charsmap) >= 4 and int.from_bytes(charsmap[:4], "little") > len(charsmap) - 4:
            raise CheckpointError(
                f"{path} has a broken normalizer: its precompiled_charsmap is cut off.",
                hint="Save the tokenizer again: tokenizer.save_pretrained(folder).",
            )


def _without_outside_fields(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_outside_fields(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_outside_fields(item) for name, item in value.items() if not _points_outside(name, item)}


def _points_outside(name: str, value: object) -> bool:
    if _IMPLEMENTATION.fullmatch(name):
        return value is not None and not (isinstance(value, str) and _WORD.fullmatch(value))
    return _OUTSIDE_FIELDS.fullmatch(name) is not None or (name in _PARTS and isinstance(value, str))


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve())
    except OSError:  # a file system or an account without links
        shutil.copyfile(path, target)
