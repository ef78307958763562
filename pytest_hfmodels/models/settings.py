"""The settings that a test gives to `generate`: what a record cannot hold is refused here, in a sentence.

For `handle` alone.
"""

from __future__ import annotations

import ast
import re
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.settings import OURS, NotPlainError, given_settings, plain
from pytest_hfmodels.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Keywords with which `generate` downloads code, even if it does not run it.
_CODE = ("custom_generate", "trust_remote_code")
# `generate` needs the tokenizer for these; `generate_batch` may be given one.
_NEED_TOKENIZER = ("stop_strings", "token_healing")
_INPUTS = ("attention_mask", "input_ids", "inputs", "inputs_embeds")


def require_repeatable(settings: Mapping[str, Any], config: Any = None) -> None:
    """Refuse settings that sample, run code, depend on the clock or on a tokenizer, or that the plugin's own call sets.

    Args:
        settings: what the test gave.
        config: the model's generation configuration, which may set a time limit.

    Raises:
        EngineError: naming the setting.
    """
    _require_generation_config(settings.get("generation_config"))
    for name in (*_INPUTS, *OURS):
        if name in settings:
            raise EngineError(
                f"{name}= is set by the plugin's own call of generate.",
                hint="Give the prompt as the first argument; scores and masks are always there."
                if name in _INPUTS
                else "Leave it out: a record has the scores, and hf_model.model.generate has the rest.",
            )
    given = given_settings(settings)
    _require_own_code(settings, given)
    for name in _NEED_TOKENIZER:
        if given.get(name) and settings.get("tokenizer") is None:
            raise EngineError(
                f"{name}= needs the tokenizer while generating, and the plugin gives generate token ids only.",
                hint="Stop at token ids with eos_token_id=[…], or compare what hf_model.model.generate(…) returns in "
                "an assertion of your own.",
            )
    if given.get("do_sample"):
        raise EngineError(
            "do_sample=True draws tokens at random, and a record must come out the same every time.",
            hint="Leave do_sample out; use greedy or beam search.",
        )
    _require_no_time_limit(settings, config)


def require_recordable(settings: Mapping[str, Any]) -> None:
    """Refuse settings that have no plain form: a snapshot could not tell a run with them from one without.

    Raises:
        EngineError: naming the setting.
    """
    for name, value in given_settings(settings).items():
        try:
            plain(value)
        except NotPlainError as error:
            raise EngineError(
                f"A record cannot hold {name}= (a {type(value).__name__}): "
                "only numbers, text, truth values and lists or dicts of them.",
                hint="Use the library's own keyword for it where there is one, or compare what "
                "hf_model.model.generate(…) returns in an assertion of your own.",
            ) from error


def with_pad(config: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return `settings` with eos as pad where nothing names one, which is upstream's own rule less its message.

    Args:
        config: the model's generation configuration.
        settings: what the test gave; a `generation_config` among them comes before the model's.

    Raises:
        EngineError: an end-of-text id that is none.
    """
    own = settings.get("generation_config")
    eos, pad = (_first(settings.get(name), getattr(own, name, None), getattr(config, name, None)) for name in _SPECIAL)
    _require_eos(eos)
    if pad is not None:
        # A generation_config without one would have upstream say at every call what it sets pad to.
        return {"pad_token_id": pad, **settings} if own is not None else dict(settings)
    if eos is None:
        return dict(settings)
    return {**settings, "pad_token_id": eos[0] if isinstance(eos, list | tuple) else eos}


@contextmanager
def unknown_named(model: Any, settings: Mapping[str, Any]) -> Iterator[None]:
    """Say which setting it is that the installed release does not know, and which one may be meant.

    Args:
        model: upstream's, whose `generate` runs within.
        settings: what the test gave.

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
        known = _known(model)
        meant = [f"{near}=" for name in names for near in get_close_matches(name, known, n=1, cutoff=0.7)]
        raise EngineError(
            f"generate of {type(model).__name__} knows no {', '.join(f'{name}=' for name in names)} "
            "in the installed release of transformers.",
            hint=f"Did you mean {' and '.join(meant)}?"
            if meant
            else "It takes the fields of transformers.GenerationConfig.",
        ) from error


# `The following `model_kwargs` are not used by the model: ['max_new_token'] (note: …)`, from 4.30 to 5.23.
_UNREAD = re.compile(r"`model_kwargs` are not used by the model: (\['[^\]]*\])")


def _known(model: Any) -> list[str]:
    """Return the names of a release's own settings, unset ones included."""
    return [name for name in vars(type(model.generation_config)()) if not name.startswith("_")]


_SPECIAL = ("eos_token_id", "pad_token_id")


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _require_eos(eos: Any) -> None:
    ids = eos if isinstance(eos, list | tuple) else [eos]
    if eos is not None and (not ids or not all(_is_id(value) for value in ids)):
        raise EngineError(
            f"eos_token_id is {eos!r:.40}, which is no token id.",
            hint="Give a whole number or a list of at least one, as a setting or in generation_config.json; "
            "null there for none.",
        )


def _is_id(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and int(value) >= -1


def _require_no_time_limit(settings: Mapping[str, Any], config: Any) -> None:
    given = given_settings(settings).get("max_time")
    inherited = None if "max_time" in settings else getattr(config, "max_time", None)
    if given is None and inherited is None:
        return
    where = f"max_time={given!r:.40}" if given is not None else f"The model's max_time of {inherited!r:.40}"
    raise EngineError(
        f"{where} stops generation after that many seconds, so the output depends on the speed of the machine.",
        hint="Leave max_time out, and limit the length with max_new_tokens."
        if given is not None
        else "Set max_time to None in the model's generation_config, and limit the length with max_new_tokens.",
    )


def _require_own_code(settings: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    for name in _CODE:
        if name in settings or name in given:
            raise EngineError(
                f"{name}= makes generate run code from the Hub or from a folder, and the plugin never does.",
                hint=f"Leave {name} out; a decoding method of your own can run in hf_model.model.generate(…).",
            )


def _require_generation_config(config: Any) -> None:
    if config is not None and not hasattr(config, "to_diff_dict"):
        raise EngineError(
            f"generation_config= takes a GenerationConfig, not a {type(config).__name__}.",
            hint="Write transformers.GenerationConfig(…), or give the settings as keywords.",
        )
