"""Finding out that a test changed a model which later tests share."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines import module_state
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.foundation.durations import Timed
from pytest_hfmodels.kinds.evidence import IN_PLACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_hfmodels.engines import LoadedModel


class DirtyModelWarning(UserWarning):
    """A test changed a session-cached model; the model was evicted and later tests get a fresh one."""


@dataclass(frozen=True)
class Fingerprint:
    """The state of a cached model.

    Args:
        parts: everything that is cheap to read: settings, modes, attributes, ids of tensors.
        weights: a checksum of all weights, if requested.
        vocabulary: a digest of the tokenizer with its vocabulary and merges, if requested.
        buffers: a checksum of the buffers that the model never saves, if weights were requested.
    """

    parts: Mapping[str, object]
    weights: int | None
    vocabulary: str | None = None
    buffers: int | None = None

    @classmethod
    @Timed("digest")
    def of(
        cls, loaded: LoadedModel, processor: Any, *, with_weights: bool, with_vocabulary: bool = False
    ) -> Fingerprint:
        """Take the fingerprint of a model and its processor."""
        tokenizer = tokenizer_of(processor)
        with PROCESS_LOCK:  # a call in another thread may have patched the model
            parts = {
                **_settings("config", getattr(loaded.model, "config", None)),
                **_settings("generation_config", getattr(loaded.model, "generation_config", None)),
                **_tokenizer(tokenizer),
                **preprocessor_settings(processor),
                **loaded.modes(),
            }
            buffers = checksum(loaded.unsaved_buffers()) if with_weights else None
            with_weights = with_weights and not module_state.rescaled_weights(loaded.model)
            weights = checksum(loaded.weights()) if with_weights else None
            return cls(parts, weights, _vocabulary(tokenizer) if with_vocabulary else None, buffers)

    def changes(self, now: Fingerprint) -> list[str]:
        """Return what differs in `now`, in words; empty if nothing does."""
        pairs = {name: (self.parts.get(name, _ABSENT), now.parts.get(name, _ABSENT)) for name in _names(self, now)}
        differing = [name for name, (before, after) in pairs.items() if before != after]
        found = [_describe(name, *pairs[name]) for name in _outermost(differing)]
        if not found and _differ(self.vocabulary, now.vocabulary):
            found.append(_describe(_BACKEND, None, None))
        if not found and (_differ(self.weights, now.weights) or _differ(self.buffers, now.buffers)):
            found.append(IN_PLACE)
        return found


def checksum(tensors: Iterable[tuple[str, str, tuple[int, ...], bytes | memoryview]]) -> int:
    """Return a checksum of tensors, for a comparison within this process; some three times faster than a CRC.

    The bytes of a tensor are read as rows of integers and added up by row and by column, modulo 2**64. One changed
    number always shows, and so do two that trade places. What keeps all sums does not; nobody writes that by accident.

    Args:
        tensors: name, dtype, shape, and the values as raw bytes.
    """
    import numpy as np

    value = 0
    for name, dtype, shape, raw in tensors:
        value = zlib.crc32(f"{name} {dtype} {shape}\n".encode(), value)
        size = len(raw) // (8 * _COLUMNS) * 8 * _COLUMNS
        if size:
            rows = np.frombuffer(raw, np.uint64, size // 8).reshape(-1, _COLUMNS)
            value = zlib.crc32(np.add.reduce(rows, axis=1), zlib.crc32(np.add.reduce(rows, axis=0), value))
        value = zlib.crc32(memoryview(raw)[size:], value)
    return value


def tokenizer_of(processor: Any) -> Any | None:
    """Return the tokenizer of a processor, or that it is; None if it has none."""
    return processor if hasattr(processor, "get_vocab") else getattr(processor, "tokenizer", None)


_COLUMNS = 1021
_ABSENT = "(absent)"
_BACKEND = "tokenizer's backend"


def _names(before: Fingerprint, now: Fingerprint) -> list[str]:
    return sorted({*before.parts, *now.parts})


def _settings(prefix: str, config: Any) -> dict[str, object]:
    """Return the fields of a configuration, and the attention kernels in it, which `to_dict` leaves out."""
    if config is None:
        return {}
    own = "_attn_implementation"
    inner = {f"{name}.{own}": getattr(config, name, None) for name in getattr(config, "sub_configs", None) or {}}
    kernels = {name: getattr(part, own, None) for name, part in {own: config, **inner}.items()}
    values = {**config.to_dict(), **{name: kernel for name, kernel in kernels.items() if kernel is not None}}
    # As JSON text: values may be nested lists that a test mutates in place.
    return {f"{prefix}.{name}": json.dumps(value, default=str, sort_keys=True) for name, value in values.items()}


def preprocessor_settings(processor: Any) -> dict[str, object]:
    """Return the settings of a processor's parts that read images and sound."""
    template = None if processor is tokenizer_of(processor) else getattr(processor, "chat_template", None)
    found: dict[str, object] = {} if template is None else {"processor.chat_template": str(template)}
    for name in ("image_processor", "feature_extractor", "video_processor", ""):
        part = getattr(processor, "__dict__", {}).get(name) if name else processor  # CLIP's property warns
        if tokenizer_of(part) is None and hasattr(part, "to_dict"):
            found |= _settings(name or "processor", part)
    return found


def _tokenizer(tokenizer: Any) -> dict[str, object]:
    if tokenizer is None:
        return {}
    found = dict(module_state.tokenizer_attributes(tokenizer))
    found |= {f"tokenizer.{name}": getattr(tokenizer, name, None) for name in ("padding_side", "truncation_side")}
    # Not by attribute: older releases log an error for every special token that is not set.
    found |= {f"tokenizer.{name}": str(value) for name, value in tokenizer.special_tokens_map.items()}
    # They split a text before the model does, even if its vocabulary has them anyway; from transformers 4.34 on.
    added = getattr(tokenizer, "added_tokens_decoder", None)
    if isinstance(added, dict):
        found |= {f"tokenizer's added token {str(token)!r}": repr(token) for token in added.values()}
    return {**found, **_backend(tokenizer), "tokenizer's vocabulary size": len(tokenizer)}


def _backend(tokenizer: Any) -> dict[str, object]:
    """Return a digest of a fast tokenizer's small parts, without vocabulary and merges."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return {}
    digest = sha256()
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        digest.update(f"{name}: ".encode() + _state(getattr(backend, name, None)) + b"\n")
    model = getattr(backend, "model", None)
    settings = {name: getattr(model, name, None) for name in _MODEL_SETTINGS}
    digest.update(json.dumps([type(model).__name__, settings, _split(model)], default=str).encode())
    return {_BACKEND: digest.hexdigest()}


# Attributes of a tokenizer's model, of any kind, that can be set on an existing one.
_MODEL_SETTINGS = (
    *("dropout", "unk_token", "unk_id", "byte_fallback", "ignore_merges", "fuse_unk"),
    *("continuing_subword_prefix", "end_of_word_suffix", "max_input_chars_per_word"),
)
# Letters in the order of their frequency, and English words: most vocabularies have merges for these.
_TEXT = "etaoinshrdlucmfwypvbgkjqxz0123456789thehelloworldinformationother"


def _split(model: Any) -> list[int] | None:
    """Return how a fast tokenizer's model splits a text, which other merges or another vocabulary change."""
    if getattr(model, "dropout", None):  # then it splits at random
        return None
    try:
        return [token.id for token in model.tokenize(_TEXT)]
    except Exception:  # a model without unknown tokens, or one written in Python; see `_state`
        return None


def _state(part: Any) -> bytes:
    if part is None:
        return b""
    try:
        return bytes(part.__getstate__())
    except Exception:  # a part written in Python cannot be serialised and raises a bare Exception
        return type(part).__name__.encode()


def _vocabulary(tokenizer: Any) -> str | None:
    write = getattr(getattr(tokenizer, "backend_tokenizer", None), "to_str", None)
    if write is None:
        return None
    try:
        # Padding and truncation come first; every call of the tokenizer sets them.
        _, _, parts = str(write()).partition('"added_tokens"')
    except Exception:  # see `_state`
        return None
    return sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()


def _differ(before: object, now: object) -> bool:
    return before is not None and now is not None and before != now


def _outermost(names: list[str]) -> list[str]:
    """Leave out the parts of modules that are listed themselves: they were replaced with the module."""
    modules = [name.removeprefix("module ") for name in names if name.startswith("module ")]
    if "the model" in modules:
        return ["module the model"]
    within = tuple(f" {module}." for module in modules)
    own = tuple(f" of {module}" for module in modules)
    return [name for name in names if not name.endswith(own) and not any(part in name for part in within)]


def _describe(name: str, before: object, now: object) -> str:
    if name.startswith("tensor "):
        return f"{name} was replaced or written in place"
    if name == _BACKEND:
        return f"{name} (merges, normalizer, decoder …) was changed"
    if isinstance(before, tuple) and isinstance(now, tuple) and name.startswith("module "):
        return f"{name} was replaced: {before[0]} -> {now[0]}"
    marks = [mark for mark in (before, now) if mark != _ABSENT]
    if name.startswith(("module ", "forward ", "backward ")) or (
        name.startswith(("attribute ", "tokenizer.")) and not any(isinstance(mark, str) for mark in marks)
    ):  # the marks are addresses
        return f"{name}: {'added' if before == _ABSENT else 'removed' if now == _ABSENT else 'replaced'}"
    return f"{name}: {_shown(before)} -> {_shown(now)}"


def _shown(mark: object) -> object:
    return "a function" if isinstance(mark, int) and not isinstance(mark, bool) else mark
