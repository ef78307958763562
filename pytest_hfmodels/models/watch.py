"""Finding out that a test changed a model which later tests share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.engines import LoadedModel


class DirtyModelWarning(UserWarning):
    """A test changed a session-cached model; the model was evicted and later tests get a fresh one."""


@dataclass(frozen=True)
class Fingerprint:
    """What a cached model looked like: `parts` is cheap to take, `weights` a digest of every byte, taken when asked."""

    parts: Mapping[str, object]
    weights: str | None

    @classmethod
    def of(cls, loaded: LoadedModel, tokenizer: Any, *, with_weights: bool) -> Fingerprint:
        """Take the fingerprint of a model and its tokenizer.

        Args:
            loaded: the model.
            tokenizer: its tokenizer, or None.
            with_weights: also read every weight. A write through `.data` bumps no version and shows only there.
        """
        parts = {
            **_settings("config", getattr(loaded.model, "config", None)),
            **_settings("generation_config", getattr(loaded.model, "generation_config", None)),
            **_tokenizer(tokenizer),
            **loaded.modes(),
        }
        return cls(parts, _digest(loaded) if with_weights else None)

    def changes(self, now: Fingerprint) -> list[str]:
        """Say what differs in `now`, in words; empty where nothing does."""
        names = sorted({*self.parts, *now.parts})
        found = [
            _describe(name, self.parts.get(name, _ABSENT), now.parts.get(name, _ABSENT))
            for name in names
            if self.parts.get(name, _ABSENT) != now.parts.get(name, _ABSENT)
        ]
        if not found and self.weights is not None and now.weights is not None and self.weights != now.weights:
            found.append("weights were written in place")
        return found


_ABSENT = "(absent)"
_BACKEND = "tokenizer's backend"


def _settings(prefix: str, config: Any) -> dict[str, object]:
    if config is None:
        return {}
    # As JSON text: values may be nested lists that a test mutates in place.
    values = config.to_dict()
    return {f"{prefix}.{name}": json.dumps(value, default=str, sort_keys=True) for name, value in values.items()}


def _tokenizer(tokenizer: Any) -> dict[str, object]:
    if tokenizer is None:
        return {}
    found: dict[str, object] = {
        f"tokenizer.{name}": getattr(tokenizer, name, None) for name in ("padding_side", "truncation_side")
    }
    # Not by attribute: older releases log an error for every special token that is not set.
    found |= {f"tokenizer.{name}": str(value) for name, value in tokenizer.special_tokens_map.items()}
    return {**found, **_backend(tokenizer), "tokenizer's vocabulary size": len(tokenizer)}


def _backend(tokenizer: Any) -> dict[str, object]:
    """Return a digest of a fast tokenizer's own parts: merges, normalizer, decoder and the like."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "to_str"):
        return {}
    # Padding and truncation come first, and a mere call of the tokenizer sets them.
    _, _, parts = str(backend.to_str()).partition('"added_tokens"')
    return {_BACKEND: sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()}


def _describe(name: str, before: object, now: object) -> str:
    if name.startswith("tensor "):
        return f"{name} was replaced or written in place"
    if name == _BACKEND:
        return f"{name} (merges, normalizer, decoder …) was changed"
    if name.startswith(("attribute ", "forward ", "backward ")):  # the marks are addresses
        return f"{name}: {_happened(before, now)}"
    return f"{name}: {before} -> {now}"


def _happened(before: object, now: object) -> str:
    if before == _ABSENT:
        return "added"
    return "removed" if now == _ABSENT else "replaced"


def _digest(loaded: LoadedModel) -> str:
    from pytest_hfmodels.checkpoints import weights_digest

    return weights_digest(loaded.weights())
