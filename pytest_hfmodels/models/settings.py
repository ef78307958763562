"""The settings that a test gives to `generate`: what a record cannot hold is refused here. For `handle` alone."""

from __future__ import annotations

import ast
import math
import re
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.settings import OURS, given_settings
from pytest_hfmodels.engines.upstream import error_text
from pytest_hfmodels.foundation.errors import EngineError, HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_INPUTS = ("attention_mask", "input_ids", "inputs", "inputs_embeds")
_BY_THE_CALL = {
    **dict.fromkeys(_INPUTS, "Give the prompt as the first argument; scores and masks are always there."),
    **dict.fromkeys(OURS, "Leave it out: a record has the scores, and hf_model.model.generate has the rest."),
}
_WHOLE = ("max_length", "max_new_tokens", "min_length", "min_new_tokens", "num_beams", "num_return_sequences")
_CODE = ("custom_generate", "trust_remote_code")  # with these `generate` downloads code, even if it does not run it
_NEED_TOKENIZER = ("stop_strings", "token_healing")
# `The following `model_kwargs` are not used by the model: ['max_new_token'] (note: …)`, from 4.30 to 5.23.
_UNREAD = re.compile(r"`model_kwargs` are not used by the model: (\['[^\]]*\])")


def require_generating(model: Any, name: str) -> None:
    """Refuse a model whose class generates no text, such as a recogniser that labels each moment of a sound (CTC).

    Raises:
        EngineError: naming its class.
    """
    able = getattr(model, "can_generate", None)
    if (able is not None and not able()) or not hasattr(model, "generate"):
        raise EngineError(
            f"{name} is a {type(model).__name__}, which generates nothing.",
            hint="Record what it returns: hf_model.observe(…).",
        )


def require_repeatable(settings: Mapping[str, Any], config: Any = None) -> None:
    """Refuse settings that sample without a seed, run code, depend on the clock, or that the plugin's own call sets.

    Raises:
        EngineError: naming the setting.
    """
    own = settings.get("generation_config")
    if own is not None and not hasattr(own, "to_diff_dict"):
        raise EngineError(
            f"generation_config= takes a GenerationConfig, not a {type(own).__name__}.",
            hint="Write transformers.GenerationConfig(…), or give the settings as keywords.",
        )
    given = given_settings(settings)
    for name in settings:
        if name in _BY_THE_CALL:
            raise EngineError(f"{name}= is set by the plugin's own call of generate.", hint=_BY_THE_CALL[name])
    for name in _CODE:
        if name in settings or name in given:
            raise EngineError(
                f"{name}= makes generate run code from the Hub or from a folder, and the plugin never does.",
                hint=f"Leave {name} out; a decoding method of your own can run in hf_model.model.generate(…).",
            )
    _require_numbers(given)
    _require_stop_strings(given.get("stop_strings"))
    _require_one_temperature(given)
    _require_seed(given)
    _require_no_time_limit(given.get("max_time"), None if "max_time" in settings else getattr(config, "max_time", None))


def _require_numbers(given: Mapping[str, Any]) -> None:
    """Refuse numbers with which `generate` ends late, never, or in an error of its own."""
    for name, value in given.items():
        if name in _WHOLE and value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
            raise EngineError(f"{name}= is {value!r:.40}, which is not a whole number.", hint=f"Write {name}=4.")
        if isinstance(value, float) and math.isnan(value):
            raise EngineError(f"{name}= is not a number.", hint="Give a number, or leave it out.")


def _require_stop_strings(stops: Any) -> None:
    words = [stops] if isinstance(stops, str) else stops
    if words is None or (isinstance(words, list | tuple) and words and all(isinstance(w, str) and w for w in words)):
        return
    raise EngineError(
        f"stop_strings= is {stops!r:.40}, which is neither a text nor a list of texts.",
        hint='Write it as in stop_strings=["\\n\\n"].',
    )


def require_flag(value: object, name: str) -> None:
    """Refuse what is neither True nor False, with an `EngineError`."""
    if not isinstance(value, bool):
        raise EngineError(
            f"{name}= is {value!r:.40}, which is neither True nor False.", hint="Give True or False, or leave it out."
        )


def with_tokenizer(tokenizer: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with the tokenizer, if one of them reads texts while generating."""
    given = given_settings(settings)
    needs = any(given.get(name) for name in _NEED_TOKENIZER)
    return {"tokenizer": tokenizer, **settings} if needs else dict(settings)


def require_one(settings: Mapping[str, Any]) -> None:
    """Refuse, for a batch, settings after which nobody can tell where a row ends.

    Raises:
        EngineError: naming the setting.
    """
    if settings.get("stopping_criteria"):
        raise EngineError(
            "stopping_criteria= ends rows of a batch at different tokens, and generate does not return where.",
            hint="Generate from one prompt at a time, or stop with stop_strings=[…] or eos_token_id=[…].",
        )


def with_pad(config: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with eos as pad if nothing names one, as upstream does it, without its message.

    Raises:
        EngineError: the end-of-text id is not a token id.
    """
    own = settings.get("generation_config")
    eos, pad = (
        next((value for value in values if value is not None), None)
        for values in (
            (settings.get(name), getattr(own, name, None), getattr(config, name, None))
            for name in ("eos_token_id", "pad_token_id")
        )
    )
    ids = list(eos) if isinstance(eos, list | tuple) else [eos]
    if eos is not None and (not ids or not all(map(_is_id, ids))):
        raise EngineError(
            f"eos_token_id is {eos!r:.40}, which is not a token id.",
            hint="Give a whole number or a list of at least one, as a setting or in generation_config.json; "
            "null there for none.",
        )
    if pad is None:
        return dict(settings) if eos is None else {**settings, "pad_token_id": ids[0]}
    # A generation_config without one would have upstream say at every call what it sets pad to.
    return dict(settings) if own is None else {"pad_token_id": pad, **settings}


@contextmanager
def unknown_named(model: Any, settings: Mapping[str, Any]) -> Iterator[None]:
    """Say which setting the installed release does not know, and which one may be meant.

    Raises:
        EngineError: in place of upstream's refusal of keywords that nothing reads.
    """
    try:
        yield
    except ValueError as error:
        unread = _UNREAD.search(str(error))
        names = [] if unread is None else [name for name in ast.literal_eval(unread[1]) if name in settings]
        if not names:
            raise
        known = [name for name in vars(type(model.generation_config)()) if not name.startswith("_")]
        meant = [f"{near}=" for name in names for near in get_close_matches(name, known, n=1, cutoff=0.7)]
        raise EngineError(
            f"generate of {type(model).__name__} knows no {', '.join(f'{name}=' for name in names)} "
            "in the installed release of transformers.",
            hint=f"Did you mean {' and '.join(meant)}?"
            if meant
            else "It takes the fields of transformers.GenerationConfig.",
        ) from error


@contextmanager
def refused_named(settings: Mapping[str, Any], control: Callable[[], object]) -> Iterator[None]:
    """Say that upstream refuses the test's settings, if `generate` works without them.

    Args:
        settings: of the test.
        control: runs the same `generate` without them.

    Raises:
        EngineError: in place of upstream's exception. If the control fails too, upstream's own is raised.
    """
    try:
        yield
    except HFModelsError:
        raise
    except Exception as error:  # upstream raises any kind of exception here
        if not settings or not _works(control):
            raise
        asked = ", ".join(f"{name}={value!r:.40}" for name, value in settings.items())
        raise EngineError(
            f"generate fails with {asked}, and works without: {' '.join(error_text(error).split()):.300}",
            hint="Correct the setting that it names, or leave it out.",
        ) from error


def _works(control: Callable[[], object]) -> bool:
    try:
        control()
    except Exception:  # as above
        return False
    return True


def _require_seed(given: Mapping[str, Any]) -> None:
    seed = given.get("seed")
    if given.get("do_sample") and seed is None:
        raise EngineError(
            "do_sample=True draws tokens at random, and a record must come out the same every time.",
            hint="Give a seed: generate(…, do_sample=True, seed=0); or leave do_sample out.",
        )
    if seed is not None and (type(seed) is not int or seed < 0):
        raise EngineError(f"seed={seed!r:.40} is not a whole number of 0 or more.", hint="Write it as in seed=0.")
    if seed is not None and not given.get("do_sample"):
        raise EngineError("seed= has an effect only where tokens are drawn.", hint="Add do_sample=True.")


def _require_one_temperature(given: Mapping[str, Any]) -> None:
    if isinstance(given.get("temperature"), list | tuple):
        raise EngineError(
            "temperature= with several values draws tokens at random wherever Whisper is unsure of a window.",
            hint="Give one temperature, with do_sample=True and a seed; or leave it out.",
        )


def _require_no_time_limit(limit: Any, inherited: Any) -> None:
    if limit is not None or inherited is not None:
        where = f"The model's max_time of {inherited!r:.40}" if limit is None else f"max_time={limit!r:.40}"
        do = "Set max_time to None in the model's generation_config" if limit is None else "Leave max_time out"
        raise EngineError(
            f"{where} stops generation after that many seconds, so the output depends on the speed of the machine.",
            hint=f"{do}, and limit the length with max_new_tokens.",
        )


def _is_id(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and int(value) >= -1
