"""A checkpoint's folder: which files make one, and which of them hold the weights.

For this folder. It reads JSON and file names; it never opens weights.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation import files
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Collection

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
TOKENIZER_FILES = (
    *("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.txt", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "spm.model"),
    *("source.spm", "target.spm", "bpe.codes", "chat_template.jinja"),
)
PREPROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")
# What sentence-transformers does with a model's output, and folders beside it with more of that.
SENTENCE_FILES = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
_MODULE = re.compile(r"\d+_\w+/(config\.json|model\.safetensors)", re.ASCII)
TEMPLATES = "additional_chat_templates"  # a folder of more of them, one a file
# The words of a published Transformer-XL. The file is fetched and converted, never passed on.
PICKLED_WORDS = "vocab.pkl"
SAVE_AGAIN = "Save it again with model.save_pretrained(folder, safe_serialization=True)."

_LAYOUT = "A checkpoint folder is what model.save_pretrained() and tokenizer.save_pretrained() write."
_LARGEST, _LARGEST_CONFIG = 256 << 20, 8 << 20  # bytes; vocabularies of 250,000 words take 30 MB, configurations 0.1
_DEEPEST = 50  # real files nest five levels deep; upstream reads them recursively


@dataclass(frozen=True)
class WeightFormat:
    """How one format names its files: a single one, or an index of shards."""

    single: str

    @property
    def index(self) -> str:
        """The file that names the shards."""
        return f"{self.single}.index.json"


SAFETENSORS = WeightFormat("model.safetensors")
PICKLED = WeightFormat("pytorch_model.bin")
MODEL_CARD = "README.md"
# Everything but the weights.
SIDECARS = (
    *(CONFIG, GENERATION_CONFIG, SAFETENSORS.index, "chat_template.json"),
    *(*TOKENIZER_FILES, *PREPROCESSOR_FILES, *SENTENCE_FILES),
)
_TEMPLATE = re.compile(rf"{TEMPLATES}/[\w.-]+\.jinja", re.ASCII)
_PIPELINE_TAG = re.compile(rb"^pipeline_tag:[ \t]*[\"']?([a-z0-9-]+)", re.MULTILINE)


def local_folder(name: str, rootdir: Path) -> Path:
    """Return the folder of a name such as `./models/bot` or `~/bot`."""
    folder = local_path(name, rootdir)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        here = " The current folder has it; an empty pytest.ini here makes this folder the root."
        raise CheckpointError(
            f"{folder} {what}.",
            hint=f"A local checkpoint is a folder, looked up from pytest's root, {rootdir}."
            + (here if Path(name).is_dir() else ""),
        )
    return folder


def local_file(name: str, rootdir: Path) -> Path:
    """Return the file of a name such as `./models/bot.gguf`."""
    file = local_path(name, rootdir)
    if not file.is_file():
        raise CheckpointError(
            f"{file} {'is not a file' if file.exists() else 'does not exist'}.",
            hint=f"A local checkpoint is looked up from pytest's root, {rootdir}.",
        )
    return file


def local_path(name: str, rootdir: Path) -> Path:
    """Return the path that a name stands for, not resolved: what is reached through a link stays where it was put."""
    return rootdir / os.path.expanduser(name)  # noqa: PTH111 - an unknown user is no error


def weight_format(names: Collection[str], where: object) -> WeightFormat:
    """Return the format of the weights among the files of `where`: safetensors, else PyTorch's `.bin`."""
    for candidate in (SAFETENSORS, PICKLED):
        if candidate.single in names or candidate.index in names:
            return candidate
    raise CheckpointError(
        f"{where} holds no weights that this plugin reads: neither {SAFETENSORS.single} nor {PICKLED.single}.",
        hint=f"{SAVE_AGAIN} Or name a revision that has them.",
    )


def file_names(folder: Path) -> set[str]:
    """Return the names of the regular files in a folder."""
    return {path.name for path in folder.iterdir() if path.is_file()}


def weight_files(folder: Path, form: WeightFormat) -> tuple[Path, ...]:
    """Return the file or the shards that hold the weights, in a fixed order."""
    if (folder / form.single).is_file():
        return (folder / form.single,)
    shards = tuple(folder / name for name in sorted(set(shard_map(folder, form).values())))
    for shard in shards:
        if not shard.is_file():
            raise CheckpointError(
                f"{form.index} names the shard {shard.name}, which is not in {folder}.",
                hint="Copy or download the missing shard.",
            )
    return shards


def shard_map(folder: Path, form: WeightFormat) -> dict[str, str]:
    """Read an index: tensor name to shard, every shard a plain file name beside the index."""
    index = folder / form.index
    entries = read_json_object(index).get("weight_map")
    if not isinstance(entries, dict) or not entries:
        raise CheckpointError(f"{index} has no weight_map.", hint=SAVE_AGAIN)
    for name in entries.values():
        # Windows' rules see more separators and drives than POSIX's, so they guard on both.
        if not isinstance(name, str) or PureWindowsPath(name).name != name or name in {"", ".", ".."}:
            raise CheckpointError(
                f"{index} names {name!r}, which is not a file beside it; nothing was read.",
                hint="Do not use this checkpoint unless you know who wrote that index.",
            )
        if PurePath(name).suffix != PurePath(form.single).suffix:
            raise CheckpointError(f"{index} names {name!r}, which is not a {form.single} shard.", hint=SAVE_AGAIN)
    return entries


def is_complete(folder: Path) -> bool:
    """Return whether the config, all files of one weight format and a Transformer-XL's words are there (unread)."""
    names = file_names(folder)
    try:
        weight_files(folder, weight_format(names, folder))
    except CheckpointError:
        return False
    has_words = not names.isdisjoint({"vocab.txt", "vocab.json", PICKLED_WORDS})
    return CONFIG in names and (has_words or not has_pickled_words(folder, {PICKLED_WORDS}))


def has_pickled_words(folder: Path, names: Collection[str]) -> bool:
    """Return whether `vocab.pkl` is among the files of a folder or its repo, and holds a Transformer-XL's words."""
    if PICKLED_WORDS not in names:
        return False
    config, tokenizer = _fields(folder / CONFIG), _fields(folder / "tokenizer_config.json")
    # transformers loads the tokenizer that either file names, whatever the model.
    classes = (str(fields.get("tokenizer_class")) for fields in (config, tokenizer))
    return config.get("model_type") == "transfo-xl" or any(name.startswith("TransfoXLTokenizer") for name in classes)


def read_sidecars(folder: Path, names: Collection[str] | None = None) -> dict[str, bytes]:
    """Return the content of the files that exist, by name: of everything but the weights, or of these `names`."""
    wanted = (*SIDECARS, *templates(folder)) if names is None else names
    return {name: _read(folder / name) for name in wanted if is_file(folder / name)}


def templates(folder: Path) -> list[str]:
    """Return the names of the chat templates in a folder of their own."""
    return sorted(path.relative_to(folder).as_posix() for path in (folder / TEMPLATES).glob("*.jinja"))


def modules(folder: Path) -> list[str]:
    """Return the names of the files of sentence-transformers' modules, which lie in folders of their own."""
    names = (path.relative_to(folder).as_posix() for path in folder.glob("[0-9]*_*/*"))
    return sorted(name for name in names if _MODULE.fullmatch(name))


def is_sidecar(name: str) -> bool:
    """Return whether a file of a repo on the Hub belongs to a checkpoint and holds none of the model's weights."""
    nested = _TEMPLATE.fullmatch(name) or _MODULE.fullmatch(name)
    return name in SIDECARS or name == MODEL_CARD or nested is not None


def is_file(path: Path) -> bool:
    """Return whether a file exists; what reads it refuses one that is not regular."""
    return path.exists()


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold an object, nested no deeper than `_DEEPEST`.

    Raises:
        CheckpointError: it is missing, is not a regular file, or holds something else.
    """
    content: Any = None
    try:
        content = json.loads(_read(path).decode())
        too_deep = _is_deeper(content, _DEEPEST)
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}.", hint=_LAYOUT) from error
    except RecursionError:
        too_deep = True
    if too_deep:
        raise CheckpointError(f"{path} nests lists and objects more than {_DEEPEST} levels deep.", hint=_LAYOUT)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is JSON, but not an object.", hint=_LAYOUT)
    return content


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read the `config.json` of a folder.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    return read_json_object(folder / CONFIG)


def read_card(folder: Path) -> bytes:
    """Return the model card; empty if it is missing or unreadable, because nothing depends on it."""
    try:
        return read_sidecars(folder, (MODEL_CARD,)).get(MODEL_CARD, b"")
    except CheckpointError:
        return b""


def model_card_tag(folder: Path) -> str:
    """Return the `pipeline_tag` in the front matter of a folder's model card; empty if the card names no task."""
    card = read_card(folder).removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    found = _PIPELINE_TAG.search(card.split(b"\n---", 1)[0]) if card.startswith(b"---\n") else None
    return "" if found is None else found[1].decode()


def _read(path: Path) -> bytes:
    try:
        return files.read_bytes(path, largest=_LARGEST_CONFIG if path.name in (CONFIG, GENERATION_CONFIG) else _LARGEST)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing.", hint=_LAYOUT) from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}.",
            hint="Make it readable for the user who runs pytest, or copy the checkpoint again.",
        ) from error


def _is_deeper(content: object, limit: int) -> bool:
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list) else None
    return inner is not None and (limit == 0 or any(_is_deeper(item, limit - 1) for item in inner))


def _fields(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path)
    except CheckpointError:
        return {}  # what needs its fields reports what is wrong with it
