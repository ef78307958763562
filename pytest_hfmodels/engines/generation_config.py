"""Checks the generation settings of a checkpoint, and names the settings that may make `generate` fail."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import read_configuration
from pytest_hfmodels.checkpoints.folders import CONFIG, GENERATION_CONFIG, is_file, read_json_object
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.settings import given_settings
from pytest_hfmodels.foundation.errors import CheckpointError, EngineError, HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType


def require_settings(transformers: ModuleType, folder: Path, private_copy: Path) -> None:
    """Refuse invalid values in `generation_config.json`, or in the generation fields of `config.json`.

    Raises:
        CheckpointError: a value is invalid; the message names the file in `folder` and the field.
    """
    _check(folder / CONFIG, read_configuration(private_copy))
    if not is_file(private_copy / GENERATION_CONFIG):
        return
    _check(folder / GENERATION_CONFIG, read_json_object(private_copy / GENERATION_CONFIG))
    try:
        transformers.GenerationConfig.from_pretrained(str(private_copy), local_files_only=True)
    except Exception as error:  # upstream raises any kind of exception here
        raise CheckpointError(
            f"transformers cannot read {folder / GENERATION_CONFIG}: {upstream.error_text(error)}",
            hint="Save the settings again: model.generation_config.save_pretrained(folder).",
        ) from error


@contextmanager
def inherited_named(config: Any, settings: Mapping[str, Any]) -> Iterator[None]:
    """If upstream's `generate` fails in the block, name the settings that may be the reason.

    Those are the test's own ones that some releases run only with code from the Hub, or else the checkpoint's that the
    test did not ask for.

    Raises:
        EngineError: in place of upstream's exception, if the test or the checkpoint sets more than the ordinary.
    """
    try:
        yield
    except HFModelsError:
        raise
    except Exception as error:  # upstream raises any kind of exception here
        given = given_settings(settings)
        own = {name: value for name, value in given.items() if name in _MOVED_TO_HUB}
        inherited = {} if settings.get("generation_config") is not None else _inherited(config, settings)
        if own:
            what = f"The test asks for {_listed(own)}, which some releases of transformers do not support."
            hint = "If it is the reason, leave it out, or install a release that supports it."
        elif inherited:
            what = f"The checkpoint's generation settings contain what the test did not ask for: {_listed(inherited)}."
            hint = "If one of them is the reason, remove it from generation_config.json."
        else:
            raise
        raise EngineError(
            f"generate failed with {type(error).__name__}. {what}", hint=f"{hint} {_upstreams_reason(error)}"
        ) from error


# Later releases run these with code from the Hub only.
_MOVED_TO_HUB = (
    *("penalty_alpha", "dola_layers", "force_words_ids", "constraints"),
    *("num_beam_groups", "diversity_penalty"),
)
# Every release can run these, and most checkpoints set some of them.
_ORDINARY = frozenset(
    {"bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "transformers_version"}
    | {"max_length", "max_new_tokens", "min_length", "min_new_tokens", "do_sample", "temperature", "top_k", "top_p"}
    | {"return_dict_in_generate", "output_scores", "num_beams"}
    # Whisper's
    | {"alignment_heads", "begin_suppress_tokens", "forced_decoder_ids", "is_multilingual", "lang_to_id", "language"}
    | {"max_initial_timestamp_index", "no_timestamps_token_id", "prev_sot_token_id", "return_timestamps"}
    | {"suppress_tokens", "task", "task_to_id"}
)

_SWITCHES_ON_BY_DEFAULT = {"use_cache": True, "return_legacy_cache": True}  # the second is one in 4.44


def _inherited(config: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    fields = config.to_diff_dict() if hasattr(config, "to_diff_dict") else {}
    usual = _ORDINARY | settings.keys()
    return {
        name: value
        for name, value in fields.items()
        if not (
            name in usual or name.startswith("_") or value is None or value is _SWITCHES_ON_BY_DEFAULT.get(name, False)
        )
    }


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.60}" for name, value in sorted(settings.items()))


def _upstreams_reason(error: Exception) -> str:
    """Return the first line of upstream's message, but not its advice to trust code."""
    lines = str(error).strip().splitlines()
    if "trust_remote_code" in str(error):
        return "This release runs it with code from the Hub, and the plugin never runs such code."
    return f"transformers says: {lines[0]:.200}" if lines else "transformers gives no reason."


def _check(file: Path, fields: dict[str, Any]) -> None:
    for names, fits, wanted in _RULES:
        for name in names.split():
            value = fields.get(name)
            if value is not None and not fits(value):
                raise CheckpointError(
                    f"{file} sets {name} to {value!a:.60}; it must be {wanted}.",
                    hint="Correct it, or remove it to use the release's default.",
                )


def _whole(least: int, most: int = 2**63 - 1) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(value: Any) -> bool:
    # Not `math.isfinite`, which cannot convert an integer of 400 digits.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _ids(value: Any) -> bool:
    return value != [] and all(map(_whole(-1), value if isinstance(value, list) else [value]))


def _is_list_of_ids(value: Any) -> bool:
    return isinstance(value, list) and _ids(value)


# What upstream takes without a word, or does not survive. A token id beyond the vocabulary is allowed: some published
# checkpoints have such pad tokens.
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("max_length max_new_tokens", _whole(1), "a whole number, 1 or more"),
    ("num_beams num_return_sequences num_beam_groups", _whole(1, 10_000), "a whole number from 1 to 10000"),
    ("min_length min_new_tokens top_k no_repeat_ngram_size", _whole(0), "a whole number, 0 or more"),
    ("temperature top_p length_penalty repetition_penalty diversity_penalty", _number, "a number"),
    ("bos_token_id eos_token_id pad_token_id forced_bos_token_id forced_eos_token_id", _ids, "one or more token ids"),
    ("suppress_tokens begin_suppress_tokens", lambda value: value == [] or _is_list_of_ids(value), "a list of ids"),
    ("max_time", lambda _: False, "null, because the output must not depend on the speed of the machine"),
    ("is_assistant", lambda value: value is False, "false, because an assistant stops at tokens that it is unsure of"),
)
