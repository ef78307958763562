"""`generate` refuses meaningless arguments with an error; the table lists releases that accept them.

The strategies of `pytest_hfmodels.properties` draw none of them (tests/properties/test_settings.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from packaging.specifiers import SpecifierSet

from pytest_hfmodels.engines.availability import installed
from suites.calls import generated

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel

PROMPTS = np.array([[1, 2, 3, 4], [5, 6, 7, 8]])  # of a model with 30 tokens and 64 positions


@dataclass(frozen=True)
class Refused:
    """A meaningless call.

    Args:
        arguments: of `generate`, in addition to `max_new_tokens=3`.
        prompts: token ids.
        torch: the releases of transformers that refuse it in torch.
        tensorflow: the same for TensorFlow; None if no release refuses it.
        taken: what the other releases do.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    prompts: Any = field(default_factory=lambda: PROMPTS)
    torch: str = ">=4.30"
    tensorflow: str | None = ">=4.30"
    taken: str = ""


UNREAD = "TensorFlow does not read the setting"
REFUSED = {
    "more sequences than beams": Refused({"num_beams": 2, "num_return_sequences": 3}),
    "several greedy sequences": Refused({"num_return_sequences": 2}),
    "no sequences": Refused(
        {"num_beams": 2, "num_return_sequences": 0}, tensorflow=None, taken="TensorFlow returns nothing"
    ),
    "no beams": Refused({"num_beams": 0}, tensorflow=None, taken="TensorFlow returns nothing"),
    "fewer than no beams": Refused({"num_beams": -1}, tensorflow=None, taken="TensorFlow returns nothing"),
    "no repetition penalty": Refused({"repetition_penalty": 0.0}),
    "a negative repetition penalty": Refused({"repetition_penalty": -1.0}),
    "a repetition penalty in words": Refused({"repetition_penalty": "high"}),
    "no length at all": Refused(
        {"max_new_tokens": 0}, torch=">=4.38", taken="one token comes all the same (TensorFlow always refuses it)"
    ),
    "a negative length": Refused(
        {"max_new_tokens": -1}, torch=">=4.38", taken="one token comes all the same (TensorFlow always refuses it)"
    ),
    "a whole length that is the prompt's": Refused(
        {"max_length": 4, "max_new_tokens": None}, torch=">=4.38", taken="one token comes all the same"
    ),
    "a whole length below the prompt's": Refused(
        {"max_length": 2, "max_new_tokens": None}, torch=">=4.38", taken="one token comes all the same"
    ),
    "a least length above the greatest": Refused(
        {"min_length": 20, "eos_token_id": 2}, torch="<4.32", taken="a warning, and no end before the greatest"
    ),
    "a text longer than the positions": Refused({"max_new_tokens": 70}),
    "no bad words": Refused({"bad_words_ids": []}),
    "an empty bad word": Refused({"bad_words_ids": [[]]}, torch="<5.23", taken="it bans nothing"),
    "a bad word of a negative id": Refused({"bad_words_ids": [[-1]]}),
    "a bad word of an unknown id": Refused({"bad_words_ids": [[99]]}),
    "bad words that are ids": Refused({"bad_words_ids": [1, 2]}),
    "early stopping now and then": Refused({"num_beams": 2, "early_stopping": "sometimes"}),
    "early stopping by number": Refused({"num_beams": 2, "early_stopping": 2}),
    "a length penalty in words": Refused({"num_beams": 2, "length_penalty": "long"}),
    "a forced end that is suppressed": Refused(
        {"forced_eos_token_id": 3, "suppress_tokens": [3]},
        torch=">=5.17",
        tensorflow=None,
        taken="every score is -inf, and token 0 comes",
    ),
    "a forced beginning that is suppressed": Refused(
        {"forced_bos_token_id": 3, "suppress_tokens": [3]},
        torch=">=5.17",
        tensorflow=None,
        taken="every score is -inf, and token 0 comes",
    ),
    "a forced end of an unknown id": Refused(
        {"forced_eos_token_id": 99}, tensorflow=None, taken="TensorFlow returns the unknown id"
    ),
    "a decay without an end": Refused({"exponential_decay_length_penalty": (1, 1.5)}, tensorflow=None, taken=UNREAD),
    "a decay without a factor": Refused(
        {"exponential_decay_length_penalty": (1,), "eos_token_id": 2}, tensorflow=None, taken=UNREAD
    ),
    "half an n-gram": Refused({"no_repeat_ngram_size": 1.5}),
    "no biases": Refused({"sequence_bias": {}}, tensorflow="<4.31", taken=UNREAD),
    "the bias of nothing": Refused({"sequence_bias": {(): 1.0}}, tensorflow="<4.31", taken=UNREAD),
    "the bias of a negative id": Refused({"sequence_bias": {(-1,): 1.0}}, tensorflow="<4.31", taken=UNREAD),
    "the bias of an unknown id": Refused({"sequence_bias": {(99,): 1.0}}, tensorflow="<4.31", taken=UNREAD),
    "no end among several": Refused({"eos_token_id": []}),
    "an end in words": Refused({"eos_token_id": "x"}),
    "an unknown argument": Refused({"num_beems": 2}),
    "an unknown cache": Refused(
        {"cache_implementation": "nonsense"},
        torch=">=4.30,!=4.38.*,!=4.39.*,!=4.40.*,!=4.41.*,!=4.42.*,!=4.43.*,!=4.44.*",
        tensorflow=">=4.30,!=4.38.*,!=4.39.*,!=4.40.*,!=4.41.*,!=4.42.*,!=4.43.*,!=4.44.*",
        taken="the usual cache is used",
    ),
    "a configuration in words": Refused({"generation_config": "greedy"}),
    "a mask of another shape": Refused({"attention_mask": np.ones((2, 3), int)}),
    "an empty prompt": Refused(prompts=np.zeros((1, 0), int)),
    "no prompts": Refused(prompts=np.zeros((0, 4), int), tensorflow=None, taken="TensorFlow returns nothing"),
    "a prompt of an unknown id": Refused(prompts=np.array([[1, 2, 99]])),
    "a prompt of a negative id": Refused(prompts=np.array([[1, 2, -1]])),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_meaningless_argument_is_refused(flat_gpt2: HFModel, case: str) -> None:
    refused = REFUSED[case]
    releases = refused.torch if flat_gpt2.engine == "torch" else refused.tensorflow
    arguments = {"max_new_tokens": 3, **refused.arguments}

    if releases is not None and SpecifierSet(releases).contains(_base(), prereleases=True):
        with pytest.raises(Exception):  # noqa: B017, PT011 - class and message depend on the release
            generated(flat_gpt2, refused.prompts, **arguments)
    else:
        assert refused.taken
        generated(flat_gpt2, refused.prompts, **arguments)


def test_a_valid_call_is_not_refused(flat_gpt2: HFModel) -> None:
    assert np.asarray(generated(flat_gpt2, PROMPTS, max_new_tokens=3)).shape == (2, 7)


def _base() -> str:
    from packaging.version import Version

    return Version(installed("transformers") or "0").base_version
