"""Checks the generation settings in a checkpoint when it is loaded, before upstream fails on them later.

For the engines. A token id beyond the vocabulary is allowed where upstream only compares ids with it: some published
checkpoints have such pad tokens.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import read_configuration
from pytest_hfmodels.checkpoints.folders import CONFIG, GENERATION_CONFIG, is_file, read_json_object
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.settings import given_settings
from pytest_hfmodels.errors import CheckpointError, EngineError, HFModelsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

_MOST_BEAMS = 10_000  # each beam is a row of the batch
_LARGEST_ID = 2**63 - 1  # ids are 64-bit integers in every engine


def require_settings(transformers: ModuleType, folder: Path, private_copy: Path) -> None:
    """Refuse invalid values in `generation_config.json`, or in the generation fields of `config.json`.

    Args:
        transformers: the installed release.
        folder: the checkpoint, for messages.
        private_copy: the private copy that upstream loads.

    Raises:
        CheckpointError: a value is invalid; the message names the file and the field.
    """
    config = read_configuration(private_copy)
    vocabulary = config.get("vocab_size")
    _check(folder / CONFIG, config, vocabulary)
    if not is_file(private_copy / GENERATION_CONFIG):
        return
    _check(folder / GENERATION_CONFIG, read_json_object(private_copy / GENERATION_CONFIG), vocabulary)
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
    test did not ask for. Some values are valid only with another package, another device or such code, which differs
    between releases; upstream's own message may advise trusting that code.

    Args:
        config: the model's generation configuration.
        settings: what the test gave.

    Raises:
        EngineError: in place of upstream's exception, if the test or the checkpoint sets more than the ordinary.
    """
    try:
        yield
    except HFModelsError:
        raise
    except Exception as error:  # upstream raises any kind of exception here
        given = given_settings(settings)
        moved = {name: given[name] for name in _MOVED_TO_HUB if name in given}
        if moved:
            raise EngineError(
                f"generate failed with {type(error).__name__}. The test asks for {_listed(moved)}, which not every "
                "release of transformers runs.",
                hint=f"If it is the reason, leave it out, or install a release that runs it. {_what_it_says(error)}",
            ) from error
        if settings.get("generation_config") is not None or not hasattr(config, "to_diff_dict"):
            raise
        inherited = {
            name: value
            for name, value in config.to_diff_dict().items()
            if not (name in settings or name in _ORDINARY or name.startswith("_") or value is None)
        }
        if not inherited:
            raise
        raise EngineError(
            f"generate failed with {type(error).__name__}. The checkpoint's generation settings contain values that "
            f"the test did not ask for: {_listed(inherited)}.",
            hint=f"If one of them is the reason, remove it from generation_config.json. {_what_it_says(error)}",
        ) from error


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.60}" for name, value in sorted(settings.items()))


def _what_it_says(error: Exception) -> str:
    """Return the first line of upstream's message, but not its advice to trust code."""
    lines = str(error).strip().splitlines()
    if "trust_remote_code" in str(error):
        return "This release runs it with code from the Hub, and the plugin never runs such code."
    return f"transformers says: {lines[0]:.200}" if lines else "transformers gives no reason."


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
)


def _check(file: Path, fields: dict[str, Any], vocabulary: object) -> None:
    for name, value in fields.items():
        rule = _RULES.get(name)
        if rule is None or value is None or rule[0](value):
            if name not in _TOKEN_LISTS or value is None or not isinstance(vocabulary, int):
                continue
            if all(token < vocabulary for token in _flat(value)):
                continue
            raise _wrong(file, name, value, f"token ids below {vocabulary}")
        raise _wrong(file, name, value, rule[1])


def _flat(tokens: list[Any]) -> list[int]:
    return [one for token in tokens for one in (token if isinstance(token, list) else [token])]


def _wrong(file: Path, name: str, value: object, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{file} sets {name} to {value!a:.60}; it must be {wanted}.",
        hint="Correct it, or remove it to use the release's default.",
    )


def _whole(least: int, most: int | None = None) -> Callable[[object], bool]:
    def fits(value: object) -> bool:
        return type(value) is int and value >= least and (most is None or value <= most)

    return fits


def _number(value: object) -> bool:
    # Not `math.isfinite`, which cannot convert an integer of 400 digits.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _positive(value: object) -> bool:
    return _number(value) and isinstance(value, int | float) and value > 0


def _decay(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and _whole(0)(value[0]) and _number(value[1])


def _off(value: object) -> bool:
    return value is False or value == []


def _tokens(value: object) -> bool:
    return isinstance(value, list) and all(_whole(0, _LARGEST_ID)(token) for token in value)


def _token_or_tokens(value: object) -> bool:
    return value != [] and all(
        _whole(-1, _LARGEST_ID)(token) for token in (value if isinstance(value, list) else [value])
    )


def _rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_tokens(row) and row for row in value)


def _biases(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and _tokens(pair[0]) and _number(pair[1]) for pair in value
    )


_COUNT = (_whole(1), "a whole number, 1 or more")
_COUNT_OR_NONE = (_whole(0), "a whole number, 0 or more")
_BEAMS = (_whole(1, _MOST_BEAMS), f"a whole number from 1 to {_MOST_BEAMS}")
_TOKEN = (_token_or_tokens, "a token id, or a list of them")
_FLAT_TOKEN_LISTS = ("suppress_tokens", "begin_suppress_tokens")
_TOKEN_LISTS = (*_FLAT_TOKEN_LISTS, "bad_words_ids")
_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(("max_length", "max_new_tokens"), _COUNT),
    **dict.fromkeys(("num_beams", "num_return_sequences", "num_beam_groups"), _BEAMS),
    **dict.fromkeys(("min_length", "min_new_tokens", "top_k", "no_repeat_ngram_size"), _COUNT_OR_NONE),
    "encoder_no_repeat_ngram_size": _COUNT_OR_NONE,
    **dict.fromkeys(
        ("length_penalty", "diversity_penalty", "temperature", "top_p", "typical_p"), (_number, "a number")
    ),
    **dict.fromkeys(("epsilon_cutoff", "eta_cutoff", "penalty_alpha", "min_p"), (_number, "a number")),
    "guidance_scale": (_number, "a number"),
    "exponential_decay_length_penalty": (_decay, "a list of a whole number and a number"),
    "prefill_chunk_size": _COUNT,
    # generate needs the tokenizer for these, and is not given one.
    **dict.fromkeys(("stop_strings", "token_healing"), (_off, "off here")),
    "max_time": (lambda _: False, "null, because the output must not depend on the speed of the machine"),
    "is_assistant": (lambda value: value is False, "false, because an assistant stops at tokens that it is unsure of"),
    "repetition_penalty": (_positive, "a number above 0"),
    "encoder_repetition_penalty": (_positive, "a number above 0"),
    "bos_token_id": _TOKEN,
    "eos_token_id": _TOKEN,
    "pad_token_id": _TOKEN,
    "decoder_start_token_id": _TOKEN,
    "forced_bos_token_id": _TOKEN,
    "forced_eos_token_id": _TOKEN,
    **dict.fromkeys(_FLAT_TOKEN_LISTS, (_tokens, "a list of token ids")),
    "bad_words_ids": (_rows, "a list of lists of token ids"),
    "sequence_bias": (_biases, "a list of pairs of token ids and a number"),
}
