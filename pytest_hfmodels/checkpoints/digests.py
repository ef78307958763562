"""What a checkpoint is, as a digest per part.

For this folder; the pure functions also for `models`, which adopts loaded models.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.checkpoints import folders, weights
from pytest_hfmodels.checkpoints.digest_cache import weights_digest
from pytest_hfmodels.foundation.progress import long_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# They say where a config was written and by which release, not what the model is.
_PROVENANCE_KEYS = frozenset({"transformers_version", "_name_or_path"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONG = 1_000_000_000  # bytes of weights that take more than a second or two to read


@dataclass(frozen=True)
class Digests:
    """A digest per part of a checkpoint, each `sha256:<hex>`.

    Those of the preprocessor (of images and sound) and of the chat template are empty for a checkpoint without one. The
    tokenizer's covers the templates in its own files too.
    """

    weights: str
    config: str
    tokenizer: str
    preprocessor: str = ""
    chat_template: str = ""


def is_digest(text: str) -> bool:
    """Return whether `text` has the form `sha256:<64 hex digits>`."""
    return _DIGEST.fullmatch(text) is not None


def ordered_weights_digest(tensors: Iterable[tuple[str, str, tuple[int, ...], bytes | memoryview]]) -> str:
    """Digest tensors independently of their file format and the engine; holds one of them in memory at a time.

    Args:
        tensors: sorted by name. Name; dtype as safetensors spells it ("F32", "BF16", "I64", "BOOL", ...); shape; the
            values as raw little-endian bytes in C order.

    Raises:
        ValueError: two tensors have the same name, or they are not sorted.
    """
    digest = hashlib.sha256()
    previous: str | None = None
    for name, dtype, shape, raw in tensors:
        if name == previous:
            raise ValueError(f"two tensors are named {name!r}")
        if previous is not None and name < previous:
            raise ValueError(f"Tensor {name!r} comes after {previous!r}: sort tensors by name")
        previous = name
        size = raw.nbytes if isinstance(raw, memoryview) else len(raw)
        # The line gives the length of what follows, so no two lists of tensors share a byte stream.
        digest.update(json.dumps([name, dtype, list(shape), size]).encode() + b"\n")
        digest.update(raw)
    return f"sha256:{digest.hexdigest()}"


def config_digest(config: Mapping[str, object], generation_config: Mapping[str, object] | None = None) -> str:
    """Digest `config.json` and, where there is one, `generation_config.json`.

    Key order does not count, nor do the release and the path that a config was saved with.
    """
    parts = {"config": config}
    if generation_config is not None:
        parts["generation_config"] = generation_config
    canonical = json.dumps(_without_provenance(parts), sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def overrides_text(fields: Mapping[str, object]) -> str:
    """Return configuration fields that a test sets at load as JSON, for a snapshot; empty text for none."""
    if not fields:
        return ""
    # Sorted by name alone: the keys of one `id2label` may be of two kinds.
    return json.dumps({name: fields[name] for name in sorted(fields)}, default=lambda value: type(value).__name__)


def same_content(recorded: str, observed: str) -> bool | None:
    """Return whether two digests of a part have the same content; None if they have no source in common.

    A digest of an adopted model names its source: `sha256:… of transformers 4.57.6` (files of earlier versions may name
    two). Only digests with the same source are compared.
    """
    before, now = _by_source(recorded), _by_source(observed)
    common = before.keys() & now.keys()
    return any(before[source] == now[source] for source in common) if common else None


def tokenizer_digest(files: Mapping[str, bytes]) -> str:
    """Digest tokenizer files by name and content; no files at all is the digest of nothing."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(json.dumps([name, len(content)]).encode() + b"\n")
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def folder_digests(folder: Path) -> Digests:
    """Digest the parts of a checkpoint folder whose weights are safetensors."""
    config, generation = folders.read_configuration(folder), folder / folders.GENERATION_CONFIG
    tensors = sorted(weights.stored_tensors(folder), key=lambda stored: stored[0].name)

    def read() -> str:
        size = sum(raw.nbytes for _, raw in tensors)
        if size < _LONG:
            return ordered_weights_digest((one.name, one.dtype, one.shape, raw) for one, raw in tensors)
        with long_work(f"reading the weights of {folder}", size) as advance:
            return ordered_weights_digest(_advancing(tensors, advance))

    return Digests(
        config=config_digest(config, folders.read_json_object(generation) if folders.is_file(generation) else None),
        weights=weights_digest({tensor.file for tensor, _ in tensors}, read),
        **processor_digests(folder),
    )


def _advancing(
    tensors: Iterable[tuple[weights.StoredTensor, memoryview]], advance: Callable[[int], object]
) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
    for one, raw in tensors:
        yield one.name, one.dtype, one.shape, raw
        advance(raw.nbytes)


def processor_digests(folder: Path) -> dict[str, str]:
    """Digest the files of a folder that its processor is made from, by part."""
    return {
        "tokenizer": tokenizer_digest(folders.read_sidecars(folder, folders.TOKENIZER_FILES)),
        "preprocessor": _digest_of_any(folders.read_sidecars(folder, folders.PREPROCESSOR_FILES)),
        "chat_template": _digest_of_any(_chat_templates(folder)),
    }


def _digest_of_any(files: Mapping[str, bytes]) -> str:
    return tokenizer_digest(files) if files else ""


def _chat_templates(folder: Path) -> dict[str, bytes]:
    """Return the chat templates of a folder by the files that hold them."""
    found = folders.read_sidecars(folder, ("chat_template.jinja", "chat_template.json", *folders.templates(folder)))
    for name in ("tokenizer_config.json", "processor_config.json"):
        fields = folders.read_json_object(folder / name) if folders.is_file(folder / name) else {}
        if fields.get("chat_template"):
            found[name] = json.dumps(fields["chat_template"]).encode()
    return found


def _without_provenance(value: object) -> object:
    # At every level: a composite config holds whole configs of its parts.
    if isinstance(value, Mapping):
        return {key: _without_provenance(item) for key, item in value.items() if key not in _PROVENANCE_KEYS}
    if isinstance(value, list):
        return [_without_provenance(item) for item in value]
    return value


def _by_source(digests: str) -> dict[str, str]:
    found = (one.partition(" of ") for one in digests.split(", "))
    return {source: digest for digest, _, source in found}
