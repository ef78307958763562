"""What upstream is handed in place of a checkpoint's folder: the files that make a checkpoint, and no other.

For `engines` and `models`, through the package. Upstream looks for more in a folder than it is asked for: 4.57 runs
`custom_generate/generate.py`, `adapter_config.json` names another model, a tokenizer's file may name a pickle.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import folders, weights
from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

ADAPTER = "adapter_config.json"
# Fields that name code, or files other than those of the folder.
_LEADS_AWAY = re.compile(
    r"auto_map|trust_remote_code|custom_generate|custom_pipelines|transformers_weights|_commit_hash|_?name_or_path|\w+_files?"
)
# Fields that name an implementation by a word, or a repo on the Hub whose kernels would run.
_IMPLEMENTATION = re.compile(r"\w*_implementation(_\w+)?")
_WORD = re.compile(r"\w+", re.ASCII)


def fill_private_copy(folder: Path, target: Path) -> None:
    """Put the config, the tokenizer files and the safetensors of `folder` into the empty folder `target`.

    Weights are linked, not copied. JSON files leave out fields that name code or files elsewhere.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    for path in folders.sidecar_files(folder):
        if path.suffix == ".json" and path.name in _READ_FIELDS:
            fields = _without_leads(folders.read_json_object(path))
            (target / path.name).write_text(json.dumps(fields), encoding="utf-8")
        else:
            if path.name == _FAST_TOKENIZER:
                _refuse_broken_normalizer(path)
            shutil.copyfile(path, target / path.name)
    files = weights.weight_files(folder)
    for path in files:
        _link(path, target / path.name)
    if files[0].name != folders.SAFETENSORS.single:
        shutil.copyfile(folder / folders.SAFETENSORS.index, target / folders.SAFETENSORS.index)


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder whose weights are to be changed by an adapter: nothing here would apply it.

    Raises:
        CheckpointError: naming its file.
    """
    if (folder / ADAPTER).exists():
        raise CheckpointError(
            f"{folder} holds {ADAPTER}: an adapter changes the weights, and the plugin applies none.",
            hint="Load it with PEFT and hand it over: hf_models.adopt(model, tokenizer).",
        )


_FAST_TOKENIZER = "tokenizer.json"
_CHARSMAP = re.compile(rb'"precompiled_charsmap"\s*:\s*"([^"]*)"')


def _refuse_broken_normalizer(path: Path) -> None:
    """Refuse a SentencePiece character map that claims to be longer than it is: tokenizers allocates what it claims.

    Its first four bytes are the length of the trie that follows, little-endian.
    """
    for found in _CHARSMAP.finditer(path.read_bytes()):
        try:
            content = base64.b64decode(found[1])
        except ValueError:  # tokenizers refuses it, too, and allocates nothing
            continue
        if len(content) >= 4 and int.from_bytes(content[:4], "little") > len(content) - 4:
            raise CheckpointError(
                f"{path} has a broken normalizer: its precompiled_charsmap is cut off.",
                hint="Save it beside the model: tokenizer.save_pretrained(folder).",
            )


_READ_FIELDS = (folders.CONFIG, folders.GENERATION_CONFIG, "tokenizer_config.json")


def _without_leads(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_leads(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_leads(item) for name, item in value.items() if not _leads_away(name, item)}


def _leads_away(name: str, value: object) -> bool:
    if _IMPLEMENTATION.fullmatch(name):
        return value is not None and not (isinstance(value, str) and _WORD.fullmatch(value))
    return _LEADS_AWAY.fullmatch(name) is not None


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve())
    except OSError:  # a file system or an account without links
        shutil.copyfile(path, target)
