"""The settings of one `generate`: caught as the library resolved them, in one plain form for every release.

For the engines, and for `models`, which refuses what has no plain form.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The settings that a record keeps, and what each means where a release leaves it unset. Names are
# the library's documented ones, values are resolved, so that the table reads the same on every release.
SETTINGS: Mapping[str, object] = {
    "max_length": None,
    "min_length": 0,
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "early_stopping": False,
    "length_penalty": 1.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "eos_token_id": None,
    "pad_token_id": None,
}
# What we ask of `generate` ourselves, so that a test may not.
OURS = ("return_dict_in_generate", "output_scores", "output_logits")
_FOLDED = ("max_new_tokens", "min_new_tokens", "generation_config", "transformers_version", "_from_model_config", *OURS)


class NotPlainError(ValueError):
    """A value that a TOML file cannot hold."""


def plain(value: Any) -> Any:
    """Return a setting as TOML holds it, so that it equals what its snapshot reads back.

    Args:
        value: numbers, text, truth values and sequences of them; arrays and tensors; dicts, of which one with keys
            other than text (`sequence_bias`) becomes a sorted list of [key, value].

    Raises:
        NotPlainError: it is, or holds, something else.
    """
    value = _python(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int) or (isinstance(value, float) and not math.isnan(value)):
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return _plain_dict(value)
    raise NotPlainError(f"{type(value).__name__} has no plain form")


def given_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller set: the keywords, and under them what a `generation_config` among them sets."""
    config = settings.get("generation_config")
    own = {} if config is None else config.to_diff_dict()
    given = {**own, **{name: value for name, value in settings.items() if name != "generation_config"}}
    return {name: value for name, value in given.items() if value is not None}


def effective_settings(config: Any, settings: Mapping[str, Any], prompt_length: int) -> dict[str, Any]:
    """Return the settings of a run in release-independent form.

    Args:
        config: the generation configuration as the library resolved it.
        settings: what the caller passed, of which unlisted names are kept where they have a plain form.
        prompt_length: in tokens; lengths in new tokens are recorded as whole lengths.
    """
    resolved = {name: _resolved(getattr(config, name, None), default) for name, default in SETTINGS.items()}
    resolved["eos_token_id"] = _as_list(resolved["eos_token_id"])
    given = given_settings(settings)
    least = given.get("min_new_tokens", getattr(config, "min_new_tokens", None))
    if isinstance(least, int):  # 4.30 leaves min_length alone, later releases fold it in
        resolved["min_length"] = max(int(resolved["min_length"]), prompt_length + least)
    return {**resolved, **_extra(given)}


def wanted_length(settings: Mapping[str, Any], prompt_length: int) -> int | None:
    """Return the whole length that `settings` allow, prompt included; None where they leave it to the library."""
    given = given_settings(settings)
    new, whole = given.get("max_new_tokens"), given.get("max_length")
    if isinstance(new, int):  # wins over max_length in every release
        return prompt_length + new
    return whole if isinstance(whole, int) else None


@contextmanager
def resolved_settings(model: Any) -> Iterator[list[Any]]:
    """Catch the generation configuration that `generate` resolves, by listening where it builds its processors.

    Releases resolve lengths and special tokens at different moments and in different places; every one from
    4.30 to 5.23, in both engines, hands the result to `_get_logits_processor`. The list stays empty for a model
    that does not, and the caller falls back on what was asked for.
    """
    caught: list[Any] = []
    original = getattr(model, _LISTENED, None)
    if original is None:
        yield caught
        return
    model = getattr(original, "__self__", model)  # what a wrapper hands on (PEFT's do) is the inner model's to call
    own = {name: value for name, value in vars(model).items() if name == _LISTENED}  # a test's own, put back after

    def listen(generation_config: Any, *arguments: Any, **keywords: Any) -> Any:
        caught.append(generation_config)
        return original(generation_config, *arguments, **keywords)

    object.__setattr__(model, _LISTENED, listen)
    try:
        yield caught
    finally:
        object.__delattr__(model, _LISTENED)
        for name, value in own.items():
            object.__setattr__(model, name, value)


_LISTENED = "_get_logits_processor"


def _python(value: Any) -> Any:
    """Return the Python value of a NumPy or torch scalar or array, or of a TensorFlow tensor."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.numpy().tolist() if hasattr(value, "numpy") else value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotPlainError("a lone surrogate is no text") from error
    return str.__str__(value)  # an Enum of text has a __str__ of its own


def _plain_dict(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value):
        return {_text(key): plain(entry) for key, entry in value.items() if entry is not None}
    pairs = [[plain(key), plain(entry)] for key, entry in value.items()]
    try:
        return sorted(pairs, key=lambda pair: pair[0])
    except TypeError as error:
        raise NotPlainError("keys of several kinds have no order") from error


def _extra(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        if name not in SETTINGS and name not in _FOLDED:
            try:
                found[name] = plain(value)
            except NotPlainError:  # `HFModel.generate` has refused it; elsewhere nothing is recorded
                continue
    return found


def _resolved(value: Any, default: object) -> Any:
    return default if value is None else plain(value)


def _as_list(value: Any) -> list[int]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [int(value)]
