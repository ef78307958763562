"""The settings of one `generate`: caught as the library resolved them, in one plain form for every release.

For the engines, and for `models`, which refuses what has no plain form.
"""

from __future__ import annotations

import math
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines import upstream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


@dataclass(frozen=True)
class Resolved:
    """The settings of one `generate` as the library resolved them.

    Args:
        config: the generation configuration with resolved lengths and special tokens.
        plain_scores: whether the scores equal those of one forward pass: no logits processor and no contrast of layers
            is on, and the model keeps the whole past (Transformer-XL and XLNet keep `mem_len` tokens).
        processors: see `active_processors`; None if unknown.
    """

    config: Any
    plain_scores: bool
    processors: Mapping[str, Any] | None = None


@contextmanager
def resolved_settings(model: Any) -> Iterator[list[Resolved]]:
    """Capture the generation configuration that `generate` resolves, at the point where it builds its processors.

    Releases resolve lengths and special tokens at different moments and in different places; every one from
    4.30 to 5.23, in both engines, hands the result to `_get_logits_processor`. If a model does
    not call it, the list stays empty, and the caller uses `requested_settings` instead.
    """
    caught: list[Resolved] = []
    original = getattr(model, _LISTENED, None)
    if original is None:
        yield caught
        return
    model = getattr(original, "__self__", model)  # what a wrapper hands on (PEFT's do) is the inner model's to call
    own = {name: value for name, value in vars(model).items() if name == _LISTENED}  # a test's own, put back after

    def listen(*arguments: Any, **keywords: Any) -> Any:
        processors = original(*arguments, **keywords)
        config = keywords.get("generation_config", arguments[0] if arguments else None)
        if hasattr(config, "to_diff_dict"):  # some releases pass something else; then nothing was captured
            plain = not _is_on(processors) and getattr(config, "dola_layers", None) is None
            plain = plain and not getattr(getattr(model, "config", None), "mem_len", None)
            caught.append(Resolved(config, plain, active_processors(processors, config)))
        return processors

    object.__setattr__(model, _LISTENED, listen)
    try:
        yield caught
    finally:
        object.__delattr__(model, _LISTENED)
        for name, value in own.items():
            object.__setattr__(model, name, value)


def active_processors(processors: Any, config: Any) -> dict[str, Any] | None:
    """Return the settings of the logits processors that are on, whoever set them: the caller or the model.

    A processor whose setting is unknown is returned by its class name.

    Args:
        processors: the library's list; anything else returns None.
        config: the generation configuration as the library resolved it.
    """
    if not isinstance(processors, list):
        return None
    found: dict[str, Any] = {}
    for processor in processors:
        kind = type(processor).__name__.removeprefix("TF")
        setting = _PROCESSORS.get(kind, kind)
        if setting not in SETTINGS:  # `effective_settings` has those
            found[setting] = _plain_or_true(getattr(config, setting, None))
    return found


def settings_of_run(
    resolved: Sequence[Resolved], model: Any, settings: Mapping[str, Any], prompt_length: int, *, engine: str
) -> dict[str, Any]:
    """Return the settings that the library resolved for a run, or else the requested ones; see `effective_settings`."""
    config = resolved[-1].config if resolved else requested_settings(model, settings, prompt_length, engine=engine)
    return effective_settings(config, settings, prompt_length)


def requested_settings(model: Any, settings: Mapping[str, Any], prompt_length: int, *, engine: str) -> SimpleNamespace:
    """Return the requested settings on top of the model's own configuration, as the installed release combines them.

    For a model whose `generate` could not be captured: its class delegates the call, or the release renamed the method.

    Args:
        model: upstream's, or one with its interface.
        settings: what the caller passed.
        prompt_length: in tokens.
        engine: the engine whose default length applies if no length was given.
    """
    given, own = given_settings(settings), getattr(model, "generation_config", None)
    inherited = _inherited(own, engine) if settings.get("generation_config") is not None else _NAMES
    found = {name: given.get(name, getattr(own, name, None) if name in inherited else None) for name in _NAMES}
    if isinstance(found["max_new_tokens"], int):  # wins over max_length, even if the caller passed one
        found["max_length"] = prompt_length + found["max_new_tokens"]
    elif "max_length" not in given and found["max_length"] in _unset_lengths():
        found["max_length"] = _default_length(model, prompt_length, engine)
    return SimpleNamespace(**{**found, "do_sample": False})


def _inherited(own: Any, engine: str) -> tuple[str, ...]:
    """Return the fields that the caller's `generation_config` inherits from the model's."""
    if engine != "torch":
        return ()
    saved = str(getattr(own, "transformers_version", None) or "0").split(".")[:2]
    if upstream.release_at_least("5") or (upstream.release_at_least("4.50") and [*map(_number, saved)] >= [4, 50]):
        return _NAMES
    return ("eos_token_id", "pad_token_id") if upstream.release_at_least("4.45") else ()


def _number(part: str) -> int:
    return int(part) if part.isdecimal() else 0


def _unset_lengths() -> tuple[int | None, ...]:
    return (None,) if upstream.release_at_least("5") else (None, _DEFAULT_LENGTH)


def _default_length(model: Any, prompt_length: int, engine: str) -> int:
    if engine != "torch" or not upstream.release_at_least("4.47"):
        return _DEFAULT_LENGTH
    positions = getattr(model.config, "max_position_embeddings", None)
    return min(_DEFAULT_LENGTH + prompt_length, *([] if positions is None else [int(positions)]))


@contextmanager
def without_advice(settings: Mapping[str, Any]) -> Iterator[None]:
    """Hide upstream's advice about settings that the plugin chose; advice about the test's own settings is shown.

    Upstream warns if no length is given, and if the checkpoint sets fields that only sampling or beam search reads,
    because the plugin switches sampling off. The caller holds `base.PROCESS_LOCK`.
    """
    own = "|".join(map(re.escape, given_settings(settings))) or "(?!)"
    with warnings.catch_warnings():
        for advice in (
            "Using the model-agnostic default `max_length`",
            rf"`(do_sample|num_beams)` is set to .* However, `(?!({own})`)",
        ):
            warnings.filterwarnings("ignore", advice, UserWarning)
        yield


# The setting that turns a logits processor on.
_PROCESSORS: Mapping[str, str] = {
    "ExponentialDecayLengthPenalty": "exponential_decay_length_penalty",
    "ForcedBOSTokenLogitsProcessor": "forced_bos_token_id",
    "ForcedEOSTokenLogitsProcessor": "forced_eos_token_id",
    "InfNanRemoveLogitsProcessor": "remove_invalid_values",
    "LogitNormalization": "renormalize_logits",
    "MinLengthLogitsProcessor": "min_length",
    "MinNewTokensLengthLogitsProcessor": "min_length",  # a record counts the prompt, too
    "NoBadWordsLogitsProcessor": "bad_words_ids",
    "NoRepeatNGramLogitsProcessor": "no_repeat_ngram_size",
    "RepetitionPenaltyLogitsProcessor": "repetition_penalty",
    "SequenceBiasLogitsProcessor": "sequence_bias",
    "SuppressTokensAtBeginLogitsProcessor": "begin_suppress_tokens",
    "SuppressTokensLogitsProcessor": "suppress_tokens",
}
_NAMES = (*SETTINGS, "max_new_tokens", "min_new_tokens")
_DEFAULT_LENGTH = 20
_LISTENED = "_get_logits_processor"


def _is_on(processors: Any) -> bool:
    """Return whether a logits processor is on; True if unknown."""
    return not hasattr(processors, "__len__") or len(processors) > 0


def _python(value: Any) -> Any:
    """Return the Python value of a NumPy or torch scalar or array, or of a TensorFlow tensor."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return value.numpy().tolist() if hasattr(value, "numpy") else value


def _plain_or_true(value: Any) -> Any:
    try:
        return True if value is None else plain(value)
    except NotPlainError:
        return True


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
