"""Digests of an adopted model. Each is the same on every release, or names the release that it was computed with.

For `cache` alone.
"""

from __future__ import annotations

import json
import warnings
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import Digests, config_digest, ordered_weights_digest, tokenizer_digest
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.models.fingerprint import preprocessor_settings, tokenizer_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.engines import LoadedModel

_CONFIG, _GENERATION_CONFIG = "config.json", "generation_config.json"
# Set by loading or stored in a snapshot's provenance, so not part of the checkpoint; like names that start with `_`.
_OF_THE_LOAD = frozenset({"transformers_version", "dtype", "torch_dtype", "attn_implementation"})


def digests(loaded: LoadedModel, processor: Any) -> Digests:
    """Return the digests of a model that the user loaded.

    Names, dtypes and shapes of weights depend on the release, so the weights' digest includes them. The configuration
    gets a digest for this release, and also its folder's digest if it equals the folder's configuration.
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
    config = getattr(model, "config", None)
    values = [_model_fields(one) for one in (config, getattr(model, "generation_config", None))]
    of_release = f"{_digest(values)} of transformers {installed('transformers')}"
    found = _folder_configs(model)
    return of_release if found is None else f"{config_digest(*found)} of {_CONFIG}, {of_release}"


def _folder_configs(model: Any) -> tuple[Mapping[str, Any], Mapping[str, Any] | None] | None:
    """Return config.json and generation_config.json of a model's folder, if the model's configuration equals them."""
    config: Any = getattr(model, "config", None)
    generation = getattr(model, "generation_config", None)
    try:
        folder = _folder(config)
        if folder is None:
            return None
        with upstream.quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from reading the folder again, which no test asked for
            fresh = type(config).from_pretrained(str(folder))
            settings = [] if generation is None else [*_generation_configs(type(generation), folder, fresh)]
        if _model_fields(fresh) != _model_fields(config) or (
            settings and _model_fields(generation) not in map(_model_fields, settings)
        ):
            return None
        file = folder / _GENERATION_CONFIG
        return _read(folder / _CONFIG), _read(file) if file.is_file() else None
    except Exception:  # upstream raises any kind of exception; then ignore the folder
        return None


def _folder(config: Any) -> Path | None:
    name = getattr(config, "_name_or_path", "") or ""
    if not name:
        return None
    if (Path(name) / _CONFIG).is_file():
        return Path(name)
    if getattr(config, "_commit_hash", None) is None:
        return None
    from huggingface_hub import try_to_load_from_cache  # a dependency of transformers

    file = try_to_load_from_cache(name, _CONFIG, revision=config._commit_hash)
    return Path(file).parent if isinstance(file, str) else None


def _generation_configs(kind: Any, folder: Path, config: Any) -> Iterator[Any]:
    """Yield the generation configurations that an unchanged model of this folder may have."""
    if (folder / _GENERATION_CONFIG).is_file():
        yield kind.from_pretrained(str(folder))
    else:
        yield kind.from_pretrained(str(folder), config_file_name=_CONFIG, _from_model_config=True)  # as upstream loads
        yield kind.from_model_config(config)


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


def _read(file: Path) -> Mapping[str, Any]:
    values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _digest(value: object) -> str:
    return f"sha256:{sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()}"
