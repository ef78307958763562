"""A checkpoint's folder: which files make one, and which of them hold the weights.

For this room only. It reads JSON and looks at names; it never opens weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spm.model",
    "source.spm",
    "target.spm",
    "bpe.codes",
    "chat_template.jinja",
)
# The words of a published Transformer-XL. It is fetched and converted, never handed on.
PICKLED_VOCABULARY = "vocab.pkl"
# Everything but the weights.
SIDECARS = (CONFIG, GENERATION_CONFIG, *TOKENIZER_FILES)

_VOCABULARIES = ("vocab.txt", "vocab.json", PICKLED_VOCABULARY)

SAVE_AGAIN = "Save it again with model.save_pretrained(folder, safe_serialization=True)."
_LAYOUT = "A checkpoint folder is what model.save_pretrained() and tokenizer.save_pretrained() write."
_LARGEST, _LARGEST_JSON = 256 << 20, 8 << 20  # bytes; vocabularies of 250,000 words take 30 MB, configurations 0.1
_DEEPEST = 50  # real files nest five levels deep; upstream reads them recursively
_FOREIGN_SUFFIXES = (
    *(".h5", ".msgpack", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".index", ".bin"),
    *(".gguf", ".onnx", ".npz", ".safetensors"),
)


@dataclass(frozen=True)
class WeightFormat:
    """How one format names its files: a single one, or an index of shards."""

    single: str
    index: str

    @property
    def suffix(self) -> str:
        """What the name of each of its files ends in."""
        return Path(self.single).suffix

    @property
    def names(self) -> tuple[str, str]:
        """The two files one of which is there if the format is."""
        return (self.single, self.index)


SAFETENSORS = WeightFormat("model.safetensors", "model.safetensors.index.json")
PICKLED = WeightFormat("pytorch_model.bin", "pytorch_model.bin.index.json")
FORMATS = (SAFETENSORS, PICKLED)  # the first one present is the one that is read


def local_folder(name: str, rootdir: Path) -> Path:
    """Return the folder that a name such as `./models/bot` or `~/bot` stands for.

    Raises:
        CheckpointError: there is no such folder.
    """
    try:
        # Not resolved: a folder reached through a link stays where the user put it.
        folder = rootdir / Path(name).expanduser()
    except RuntimeError as error:
        raise CheckpointError("there is no such home folder.", hint="Give a full path.") from error
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise CheckpointError(
            f"{folder} {what}.",
            hint=f"A local checkpoint is a folder, looked up from {rootdir}.",
        )
    return folder


def weight_format(folder: Path) -> WeightFormat:
    """Return the format that holds the folder's weights: safetensors, else PyTorch's `.bin`.

    Raises:
        CheckpointError: there are no weights, or only ones in another format.
    """
    for candidate in FORMATS:
        if any((folder / name).is_file() for name in candidate.names):
            return candidate
    foreign = foreign_weights(path.name for path in folder.iterdir())
    if foreign:
        raise CheckpointError(
            f"{folder} has its weights in {', '.join(foreign)}, which this plugin does not read.",
            hint=SAVE_AGAIN,
        )
    raise CheckpointError(f"{folder} holds no weights: no {SAFETENSORS.single}.", hint=_LAYOUT)


def foreign_weights(names: Iterable[str]) -> list[str]:
    """Return those file names that look like weights in a format nobody here reads."""
    return sorted(name for name in names if name.endswith(_FOREIGN_SUFFIXES) and name != PICKLED_VOCABULARY)


def weight_files(folder: Path, form: WeightFormat) -> tuple[Path, ...]:
    """Return the file or the shards that hold the weights, in a fixed order.

    Raises:
        CheckpointError: a shard is missing, or the index is not to be trusted.
    """
    if (folder / form.single).is_file():
        return (folder / form.single,)
    index = folder / form.index
    files = tuple(folder / name for name in sorted(set(shard_map(index, form).values())))
    for file in files:
        if not file.is_file():
            raise CheckpointError(
                f"{index.name} names the shard {file.name}, which is not in {folder}.",
                hint="Copy or download the missing shard.",
            )
    return files


def shard_map(index: Path, form: WeightFormat) -> dict[str, str]:
    """Read an index: tensor name to shard, every shard a plain file name beside the index.

    Raises:
        CheckpointError: it is no index, or it leads out of the folder.
    """
    entries = read_json_object(index).get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise CheckpointError(f"{index} has no weight_map.", hint=SAVE_AGAIN)
    for name in entries.values():
        if not isinstance(name, str) or not _is_plain_file_name(name):
            raise CheckpointError(
                f"{index} names {name!r}, which is not a file beside it; nothing was read.",
                hint="Do not use this checkpoint unless you know who wrote that index.",
            )
        if not name.endswith(form.suffix):
            raise CheckpointError(f"{index} names {name!r}, which is not a {form.suffix} file.", hint=SAVE_AGAIN)
    return entries


def is_complete(folder: Path) -> bool:
    """Say whether the config, all files of one weight format and a Transformer-XL's words are there (unread)."""
    if not (folder / CONFIG).is_file():
        return False
    try:
        weight_files(folder, weight_format(folder))
    except CheckpointError:
        return False
    return not _is_transfo_xl(folder) or any((folder / name).is_file() for name in _VOCABULARIES)


def has_pickled_vocabulary(folder: Path, names: Iterable[str]) -> bool:
    """Say whether `vocab.pkl` is among the names and holds words: it does for a Transformer-XL.

    Args:
        folder: holds the config files, which say what the checkpoint is.
        names: of the folder's files, or of its repo's.
    """
    return PICKLED_VOCABULARY in names and _is_transfo_xl(folder)


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the tokenizer files that exist.

    Raises:
        CheckpointError: one of them is not a regular file (a folder, a pipe, a device).
    """
    return [folder / name for name in TOKENIZER_FILES if is_file(folder / name)]


def sidecar_files(folder: Path) -> list[Path]:
    """Return the config and tokenizer files that exist; see `tokenizer_files`."""
    return [folder / name for name in SIDECARS if is_file(folder / name)]


def is_file(path: Path) -> bool:
    """Return whether a path is a regular file.

    Raises:
        CheckpointError: it exists but is not a regular file (reading a pipe would never end), or it is too large.
    """
    if path.is_file():
        limit = _LARGEST_JSON if path.name in (CONFIG, GENERATION_CONFIG) else _LARGEST
        if path.stat().st_size > limit:
            raise CheckpointError(f"{path} is larger than {limit >> 20} MiB, the limit for such a file.", hint=_LAYOUT)
        return True
    if path.exists():
        raise CheckpointError(f"{path} is not a regular file.", hint=_LAYOUT)
    return False


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object, nested no deeper than `_DEEPEST`.

    Raises:
        CheckpointError: it is missing, is not a regular file, or holds something else.
    """
    if not is_file(path):
        raise CheckpointError(f"{path} is missing.", hint=_LAYOUT)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}.", hint=_LAYOUT) from error
    except RecursionError as error:
        raise _too_deep(path) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is JSON, but not an object.", hint=_LAYOUT)
    if _is_deeper(content, _DEEPEST):
        raise _too_deep(path)
    return content


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a folder.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    return read_json_object(folder / CONFIG)


def _is_deeper(content: object, limit: int) -> bool:
    """Return whether lists and objects nest deeper than `limit`. Not recursive, to avoid a RecursionError."""
    level: list[Any] = [content]
    for _ in range(limit):
        nested = [item.values() if isinstance(item, dict) else item for item in level]
        level = [inner for items in nested for inner in items if isinstance(inner, dict | list)]
    return bool(level)


def _too_deep(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} nests lists and objects more than {_DEEPEST} levels deep.", hint=_LAYOUT)


def _is_transfo_xl(folder: Path) -> bool:
    config, tokenizer = _said(folder / CONFIG), _said(folder / "tokenizer_config.json")
    # transformers loads the tokenizer that either file names, whatever the model.
    named = (said.get("tokenizer_class") for said in (config, tokenizer))
    return config.get("model_type") == "transfo-xl" or any(str(name).startswith("TransfoXLTokenizer") for name in named)


def _said(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except CheckpointError:
        return {}  # whoever needs what it says will say what is wrong with it


def _is_plain_file_name(name: str) -> bool:
    # Windows' rules see more separators and drives than POSIX's, so they guard on both.
    return name not in {"", ".", ".."} and PureWindowsPath(name).name == name
