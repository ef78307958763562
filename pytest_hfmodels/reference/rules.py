"""The differences between the outputs of releases and engines, as one frozen value for decoders and pooling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from pytest_hfmodels.foundation.errors import HFModelsError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Rules:
    """The rules of a release; the defaults are those of the newest release known (5.23).

    They were found in the source of upstream's releases; `snapshots/upstream.toml` has those that a suite shows. The
    releases in brackets are those of torch. TensorFlow's search follows a rule that says so, in all of 4.x unless it
    says otherwise.

    Args:
        default_length_counts_prompt: the default length of 20 tokens includes the prompt (before 4.47; TensorFlow).
        both_minima_hold: `min_length` holds beside `min_new_tokens`, which later replaces it (before 4.40).
        length_penalty_counts_prompt: a beam's score is divided by its length with the prompt, and without the eos
            that ended it (before 4.36, TensorFlow too; huggingface/transformers#26624).
        ended_beams_first: at the length limit, beams that end by eos come before those that are cut there; if they
            fill the list, the others are dropped (before 4.50; huggingface/transformers#35802).
        only_ended_beams: beams that are cut at the length limit count only if none has ended (TensorFlow).
        first_eos_stands_for_all: whichever eos ended a beam, the first one is returned (before 4.50).
        pad_zero_is_eos: beams are padded with the first eos if the padding id is 0 (from 4.50 on).
        rows_stop_together: the prompts of a batch stop only once none of them can improve, so that the beams of a
            prompt depend on its neighbours (4.50 to 4.53; TensorFlow).
        padded_to_the_last_step: beams are as wide as the search was long, not as the longest beam (4.50.0 to 4.50.2;
            TensorFlow).
        spare_beams_for_one_eos: a step considers twice as many candidates as beams, even with several eos (before
            4.32; TensorFlow).
        too_few_beams_raise: the search raises if too few candidates go on (before 4.32).
        decay_multiplies: `exponential_decay_length_penalty` multiplies the score of eos, so that a negative one gets
            less likely with every step (before 4.34).
        decay_frees_the_banned: the same setting makes a banned eos NaN, which is then chosen (4.34 to 5.18).
        minus_infinity_stays: `remove_invalid_values` leaves -inf as it is (before 4.36).
        sequences_need_their_length: a `sequence_bias` or bad word of n tokens applies only after n tokens, although
            n - 1 are enough (4.31 to 5.17; TensorFlow).
        eos_is_a_bad_word: a bad word that is only an eos is banned like any other (TensorFlow).
        repetition_counts_padding: padding on the left counts as a word for `repetition_penalty` (before 5.23;
            TensorFlow).
        minima_take_one_eos: `min_length` beside several eos is refused, and so are several `forced_eos_token_id`
            (TensorFlow).
        lacking: settings that the release does not have, and ignores or refuses (`sequence_bias` before 4.31; five in
            TensorFlow).
        sdpa_ignores_scaling: under sdpa GPT-2 ignores `scale_attn_weights=False` and
            `scale_attn_by_inverse_layer_idx=True` (4.42 to 5.3; only torch).
        spaces_cleaned_up: a tokenizer's `clean_up_tokenization_spaces` is True by default (through 4.45.0).
        bpe_keeps_spaces: `clean_up_tokenization_spaces=True` does nothing for byte-level BPE (from 5.7 on).
        pooling: the word of a row that a classifier reads, see `pooling`: `count` before 4.32, `first-padding` before
            4.49, `right-most` since.
    """

    default_length_counts_prompt: bool = False
    both_minima_hold: bool = False
    length_penalty_counts_prompt: bool = False
    ended_beams_first: bool = False
    only_ended_beams: bool = False
    first_eos_stands_for_all: bool = False
    pad_zero_is_eos: bool = True
    rows_stop_together: bool = False
    padded_to_the_last_step: bool = False
    spare_beams_for_one_eos: bool = False
    too_few_beams_raise: bool = False
    decay_multiplies: bool = False
    decay_frees_the_banned: bool = False
    minus_infinity_stays: bool = False
    sequences_need_their_length: bool = False
    eos_is_a_bad_word: bool = False
    repetition_counts_padding: bool = False
    minima_take_one_eos: bool = False
    lacking: frozenset[str] = frozenset()
    sdpa_ignores_scaling: bool = False
    spaces_cleaned_up: bool = False
    bpe_keeps_spaces: bool = True
    pooling: Literal["count", "first-padding", "right-most"] = "right-most"

    @classmethod
    def of(cls, version: str, engine: str = "torch") -> Rules:
        """Return the rules of a release of transformers.

        Args:
            version: such as `4.57.6`; 5.0.0rc1 counts as 5.0.
            engine: the engine that searches; 5.0 removed TensorFlow's.

        Raises:
            HFModelsError: it is not a version.
        """
        release = _release(version)
        pooling: Literal["count", "first-padding", "right-most"] = (
            "count" if release < (4, 32) else "first-padding" if release < (4, 49) else "right-most"
        )
        if engine == "tensorflow":
            return cls(
                default_length_counts_prompt=True,
                length_penalty_counts_prompt=release < (4, 36),
                only_ended_beams=True,
                pad_zero_is_eos=False,
                rows_stop_together=True,
                padded_to_the_last_step=True,
                spare_beams_for_one_eos=True,
                sequences_need_their_length=True,
                eos_is_a_bad_word=True,
                repetition_counts_padding=True,
                minima_take_one_eos=True,
                lacking=_NOT_IN_TENSORFLOW,
                spaces_cleaned_up=release <= (4, 45, 0),
                bpe_keeps_spaces=False,
                pooling=pooling,
            )
        return cls(
            default_length_counts_prompt=release < (4, 47),
            both_minima_hold=release < (4, 40),
            length_penalty_counts_prompt=release < (4, 36),
            ended_beams_first=release < (4, 50),
            first_eos_stands_for_all=release < (4, 50),
            pad_zero_is_eos=release >= (4, 50),
            rows_stop_together=(4, 50) <= release < (4, 54),
            padded_to_the_last_step=(4, 50) <= release < (4, 50, 3),
            spare_beams_for_one_eos=release < (4, 32),
            too_few_beams_raise=release < (4, 32),
            decay_multiplies=release < (4, 34),
            decay_frees_the_banned=(4, 34) <= release < (5, 19),
            minus_infinity_stays=release < (4, 36),
            sequences_need_their_length=(4, 31) <= release < (5, 18),
            repetition_counts_padding=release < (5, 23),
            lacking=frozenset({"sequence_bias"} if release < (4, 31) else ()),
            sdpa_ignores_scaling=(4, 42) <= release < (5, 4),
            spaces_cleaned_up=release <= (4, 45, 0),
            bpe_keeps_spaces=release >= (5, 7),
            pooling=pooling,
        )


# Every release that may have changed a rule; numbers that were never released do no harm.
_RELEASES = tuple(
    (major, minor, patch)
    for major, minors in ((4, range(28, 58)), (5, range(64)))
    for minor in minors
    for patch in range(7)
)


def old_releases(rules: Sequence[str], then: str, now: str, engine: str = "torch") -> str:
    """Return the releases whose rules are those of `then`: `transformers<4.50`, or nothing if none of them changed.

    Args:
        rules: names of rules.
        then: the release whose rules are meant.
        now: another release; the range ends where the first of the rules changes on the way to it.
        engine: the engine that searches.

    Raises:
        HFModelsError: one of the releases is not a version.
    """
    wanted = _values(rules, then, engine)
    first, last = _release(then), _release(now)
    between = [one for one in _RELEASES if min(first, last) <= one <= max(first, last)]
    if first < last:
        other = next((one for one in between if _values(rules, _named(one), engine) != wanted), None)
        return "" if other is None else f"transformers<{_named(other)}"
    between = [first, *reversed([one for one in between if one != first])]
    same = list(takewhile(lambda one: _values(rules, _named(one), engine) == wanted, between))
    return f"transformers>={_named(same[-1])}" if len(same) < len(between) else ""


def _values(rules: Sequence[str], version: str, engine: str) -> list[object]:
    found = Rules.of(version, engine)
    return [getattr(found, name) for name in rules]


def _named(release: tuple[int, int, int]) -> str:
    return ".".join(map(str, release if release[2] else release[:2]))


def _release(version: str) -> tuple[int, int, int]:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise HFModelsError(f"{version!r} is not a version of transformers.", hint="Give one like 4.57.6.")
    return int(found[1]), int(found[2]), int(found[3] or 0)


_NOT_IN_TENSORFLOW = frozenset(
    {
        "exponential_decay_length_penalty",
        "min_new_tokens",
        "remove_invalid_values",
        "renormalize_logits",
        "sequence_bias",
    }
)
