"""Finding out that a test changed a model which later tests share."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
    return {**found, "tokenizer's vocabulary size": len(tokenizer)}


def _describe(name: str, before: object, now: object) -> str:
    if name.startswith("tensor "):
        return f"{name} was replaced or written in place"
    return f"{name}: {before} -> {now}"


def _digest(loaded: LoadedModel) -> str:
    from pytest_hfmodels.checkpoints import weights_digest

    return weights_digest(loaded.weights())
