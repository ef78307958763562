"""The settings of one `generate`, in one plain form for every release.

For the engines, for `models`, which refuses what has no plain form, and for `explain`.
"""

from __future__ import annotations

import math
import re
import warnings
from contextlib import contextmanager
from types import SimpleNamespace
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


_OF_SAMPLING = ("temperature", "top_k", "top_p")
_TOKENIZERS = ("tokenizer", "assistant_tokenizer")


class NotPlainError(ValueError):
    """A value that a TOML file cannot hold."""


def plain(value: Any) -> Any:
    """Return a setting as TOML holds it, so that it equals what its snapshot reads back.

    Raises:
        NotPlainError: it is, or holds, something else.
    """
    if not hasattr(value, "tolist") and hasattr(value, "numpy"):  # a TensorFlow tensor
        value = value.numpy()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int) or (isinstance(value, float) and not math.isnan(value)):
        return value
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return _plain_dict(value)
    raise NotPlainError(f"{type(value).__name__} has no plain form")


def recordable(value: Any) -> Any:
    """Return a setting as a snapshot holds it: in its plain form, or else by name."""
    try:
        return plain(value)
    except NotPlainError:
        return [recordable(entry) for entry in value] if isinstance(value, list | tuple) else qualified_name(value)


def qualified_name(value: Any) -> str:
    """Return the name of a function or of an object's class; of transformers' own without their module."""
    named = value if hasattr(value, "__qualname__") else type(value)
    of_upstream = named.__module__.partition(".")[0] == "transformers"
    return str(named.__qualname__) if of_upstream else f"{named.__module__}.{named.__qualname__}"


def plain_or_none(value: Any) -> Any:
    """Return a setting in its plain form; None if it has none."""
    try:
        return plain(value)
    except NotPlainError:
        return None


def given_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller set: the keywords, and under them what a `generation_config` among them sets."""
    config = settings.get("generation_config")
    own = {} if config is None else config.to_diff_dict()
    given = {**own, **{name: value for name, value in settings.items() if name != "generation_config"}}
    return {name: value for name, value in given.items() if value is not None}


def effective_settings(config: Any, settings: Mapping[str, Any], prompt_length: int) -> dict[str, Any]:
    """Return the settings of a run in release-independent form."""
    resolved: dict[str, Any] = dict(SETTINGS)
    resolved |= {name: plain(value) for name in SETTINGS if (value := getattr(config, name, None)) is not None}
    eos = resolved["eos_token_id"]
    resolved["eos_token_id"] = list(eos) if isinstance(eos, list) else [] if eos is None else [int(eos)]
    given = given_settings(settings)
    least = given.get("min_new_tokens", getattr(config, "min_new_tokens", None))
    if isinstance(least, int):  # 4.30 leaves min_length alone, later releases fold it in
        resolved["min_length"] = max(int(resolved["min_length"]), prompt_length + least)
    drawn = {name: getattr(config, name, None) for name in _OF_SAMPLING} if resolved["do_sample"] else {}
    own = {name: value for name, value in given.items() if name not in (*SETTINGS, *_FOLDED, *_TOKENIZERS)}
    return {**resolved, **{name: recordable(value) for name, value in {**drawn, **own}.items() if value is not None}}


def requested_settings(model: Any, settings: Mapping[str, Any], prompt_length: int) -> SimpleNamespace:
    """Return what the caller and the model's own configuration ask for: for a `generate` that is not upstream's."""
    own = getattr(model, "generation_config", None)
    found = {**({} if own is None else own.to_diff_dict()), **given_settings(settings)}
    names = (*SETTINGS, "max_new_tokens", "min_new_tokens")
    resolved = {
        "max_length": wanted_length(found, prompt_length),
        "do_sample": bool(given_settings(settings).get("do_sample")),
    }
    return SimpleNamespace(**{name: found.get(name) for name in names} | resolved)


def wanted_length(settings: Mapping[str, Any], prompt_length: int) -> int | None:
    """Return the whole length that `settings` allow, prompt included; None where they leave it to the library."""
    given = given_settings(settings)
    new, whole = given.get("max_new_tokens"), given.get("max_length")
    if isinstance(new, int):  # wins over max_length in every release
        return prompt_length + new
    return whole if isinstance(whole, int) else None


@contextmanager
def without_advice(settings: Mapping[str, Any]) -> Iterator[None]:
    """Hide upstream's advice about settings that the plugin chose; advice about the test's own settings is shown.

    Upstream warns if no length is given, and if the checkpoint sets fields that only sampling or beam search reads,
    because the plugin switches sampling off. In some releases Whisper's `generate` warns about the scores that the
    plugin asks for, because it handles `return_dict_in_generate` separately. The caller holds `base.PROCESS_LOCK`.
    """
    own = "|".join(map(re.escape, given_settings(settings))) or "(?!)"
    with warnings.catch_warnings():
        for advice in (
            "Using the model-agnostic default `max_length`",
            rf"`(do_sample|num_beams)` is set to .* However, `(?!({own})`)",
            rf"`return_dict_in_generate` is NOT set to `True`, but `(?!({own})`)",
        ):
            warnings.filterwarnings("ignore", advice, UserWarning)
        yield


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotPlainError("a lone surrogate is not text") from error
    return str.__str__(value)  # an Enum of text has a __str__ of its own


def _plain_dict(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value):
        return {_text(key): plain(entry) for key, entry in value.items() if entry is not None}
    pairs = [[plain(key), plain(entry)] for key, entry in value.items()]
    try:
        return sorted(pairs, key=lambda pair: pair[0])
    except TypeError as error:
        raise NotPlainError("keys of several kinds have no order") from error
