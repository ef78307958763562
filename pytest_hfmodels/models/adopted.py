"""Digests of an adopted model. Each is the same on every release, or names the release that it was computed with.

For `cache` alone.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import Digests, ordered_weights_digest, tokenizer_digest
from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.models.fingerprint import preprocessor_settings, tokenizer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.engines import LoadedModel

# Set by loading or stored in a snapshot's provenance, so not part of the checkpoint; like names that start with `_`.
_OF_THE_LOAD = frozenset({"transformers_version", "dtype", "torch_dtype", "attn_implementation"})


def digests(loaded: LoadedModel, processor: Any) -> Digests:
    """Return the digests of a model that the user loaded.

    Names, dtypes and shapes of weights depend on the release, so the weights' digest includes them. The
    configuration's digest is compared only within one release.
    """
    layout: list[list[object]] = []
    tokenizer, settings = tokenizer_of(processor), preprocessor_settings(processor)
    template = getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)

    def with_layout() -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
        for name, dtype, shape, raw in loaded.weights():
            layout.append([name, dtype, list(shape)])
            yield name, dtype, shape, raw

    weights = ordered_weights_digest(with_layout())
    return Digests(
        weights=f"{weights} of {len(layout)} tensors {_digest(layout)[7:15]}",
        config=_config_digest(loaded.model),
        tokenizer=tokenizer_digest({}) if tokenizer is None else _digest(sorted(tokenizer.get_vocab().items())),
        preprocessor=f"{_digest(settings)} of transformers {installed('transformers')}" if settings else "",
        chat_template=_digest(template) if template else "",
    )


def _config_digest(model: Any) -> str:
    values = [_model_fields(getattr(model, name, None)) for name in ("config", "generation_config")]
    return f"{_digest(values)} of transformers {installed('transformers')}"


def _model_fields(value: Any) -> Any:
    """Return the fields of a configuration that describe the model, at every level, as plain data."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {
            str(name): _model_fields(entry)
            for name, entry in value.items()
            if not str(name).startswith("_") and name not in _OF_THE_LOAD
        }
    return [_model_fields(entry) for entry in value] if isinstance(value, list | tuple) else value


def _digest(value: object) -> str:
    return f"sha256:{sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()}"
