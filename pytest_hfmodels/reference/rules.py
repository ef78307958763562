"""Where releases of transformers differ in what they return: one frozen value that decoders and pooling take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pytest_hfmodels.errors import HFModelsError


@dataclass(frozen=True)
class Rules:
    """What a release holds; the defaults are those of the newest release known (5.23).

    They are those of upstream's torch code, and were found in its releases' source; `snapshots/upstream.toml` has
    those that a suite shows.

    Args:
        default_length_counts_prompt: without a length, 20 tokens are the whole, not what is added (before 4.47).
        both_minima_hold: `min_length` counts beside `min_new_tokens`, which replaces it later (before 4.40).
        length_penalty_counts_prompt: a beam's score is divided by its length with the prompt, and without the eos
            that ended it (before 4.36; huggingface/transformers#26624).
        ended_beams_first: at the length limit, beams that end there by eos come before those that are cut there:
            if they fill the list, the latter are not looked at (before 4.50; huggingface/transformers#35802).
        first_eos_stands_for_all: whichever eos ended a beam, the first one is returned (before 4.50).
        pad_zero_is_eos: beams are padded with the first eos where the padding id is 0 (from 4.50 on).
        rows_stop_together: a batch's prompts stop only once none of them can become better, so that a prompt's beams
            depend on its neighbours (4.50 to 4.53).
        spare_beams_for_one_eos: a step looks at twice as many candidates as there are beams, however many eos there
            are, and raises where too few of them go on (before 4.32).
        decay_multiplies: `exponential_decay_length_penalty` multiplies the score of eos, which makes a negative one
            less likely with every step (before 4.34).
        decay_frees_the_banned: it makes a banned eos NaN, which is then chosen (4.34 to 5.18).
        minus_infinity_stays: `remove_invalid_values` leaves -inf as it is (before 4.36).
        sequences_need_their_length: a `sequence_bias` or bad word of n tokens waits until n tokens are there, although
            n - 1 are enough (4.31 to 5.17).
        repetition_counts_padding: padding on the left counts as a word for `repetition_penalty` (before 5.23).
        pooling: which word of a row a classifier reads, see `pooling`: `count` before 4.32, `first-padding` before
            4.48, `right-most` since.
    """

    default_length_counts_prompt: bool = False
    both_minima_hold: bool = False
    length_penalty_counts_prompt: bool = False
    ended_beams_first: bool = False
    first_eos_stands_for_all: bool = False
    pad_zero_is_eos: bool = True
    rows_stop_together: bool = False
    spare_beams_for_one_eos: bool = False
    decay_multiplies: bool = False
    decay_frees_the_banned: bool = False
    minus_infinity_stays: bool = False
    sequences_need_their_length: bool = False
    repetition_counts_padding: bool = False
    pooling: Literal["count", "first-padding", "right-most"] = "right-most"

    @classmethod
    def of(cls, version: str) -> Rules:
        """Return the rules of a release of transformers.

        Args:
            version: such as `4.57.6`; 5.0.0rc1 counts as 5.0.

        Raises:
            HFModelsError: that is no version.
        """
        found = re.match(r"(\d+)\.(\d+)", version)
        if found is None:
            raise HFModelsError(f"{version!r} is no version of transformers.", hint="Give one like 4.57.6.")
        release = (int(found[1]), int(found[2]))
        return cls(
            default_length_counts_prompt=release < (4, 47),
            both_minima_hold=release < (4, 40),
            length_penalty_counts_prompt=release < (4, 36),
            ended_beams_first=release < (4, 50),
            first_eos_stands_for_all=release < (4, 50),
            pad_zero_is_eos=release >= (4, 50),
            rows_stop_together=(4, 50) <= release < (4, 54),
            spare_beams_for_one_eos=release < (4, 32),
            decay_multiplies=release < (4, 34),
            decay_frees_the_banned=(4, 34) <= release < (5, 19),
            minus_infinity_stays=release < (4, 36),
            sequences_need_their_length=(4, 31) <= release < (5, 18),
            repetition_counts_padding=release < (5, 23),
            pooling="count" if release < (4, 32) else "first-padding" if release < (4, 48) else "right-most",
        )
