"""Upstream's output object as named arrays. For `loaded_model` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.base import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_hfmodels.engines.base import FloatArray, IntArray

    Array = FloatArray | IntArray

# What a later call continues from. Other caches are known by the name of their class.
_CACHES = ("past_key_values", "cache_params", "mems", "state", "past_buckets_states")

_ENCODER, _DECODER = "encoder_hidden_states", "decoder_hidden_states"


def observation(output: Any, read: Callable[[Any], Array | None]) -> Observation:
    """Return the arrays of an output object; `read` returns that of a tensor or number, None for anything else."""
    outputs: dict[str, Array] = {}
    types: dict[str, str] = {}
    hidden: dict[str, list[Any]] = {}
    for path, value in _walk("", output, read):
        array = read(value)
        if array is None:
            types[path] = type(value).__name__
        elif path.rpartition(".")[0].endswith("hidden_states"):
            hidden.setdefault(path.rpartition(".")[0], []).append(array)
        else:
            outputs[path], types[path] = array, "tensor"
    types = {path: name for path, name in types.items() if name == "tensor" or not path.endswith("hidden_states")}
    # Upstream's output has the decoder's before the encoder's.
    encoder = hidden.pop(_ENCODER, []) if _DECODER in hidden else []
    others = [state for states in hidden.values() for state in states]
    return Observation(outputs, types, (*encoder, *others), len(encoder))


def _walk(path: str, value: Any, read: Callable[[Any], Array | None]) -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of everything in an output object."""
    inner = None if read(value) is not None else _entries(value)
    if path or inner is None:
        yield path or "output", value
    for name, entry in inner or ():
        if entry is not None and name not in _CACHES and not type(entry).__name__.endswith("Cache"):
            yield from _walk(f"{path}.{name}" if path else name, entry, read)


def _entries(value: Any) -> Iterable[tuple[str, Any]] | None:
    """Return the named parts of an object; None if it has none."""
    if isinstance(value, Mapping):
        return [(str(name), entry) for name, entry in value.items()]
    if isinstance(value, list | tuple):
        return [(str(index), entry) for index, entry in enumerate(value)]
    if is_dataclass(value):
        return [(one.name, getattr(value, one.name)) for one in fields(value)]
    return None
