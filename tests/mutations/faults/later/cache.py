"""Keys and values, carried from call to call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "Where generation goes on from a cache, the last word that the cache holds is read a second time.",
    reference="huggingface/transformers#36151",
    shown_by=lambda: _two_turns(),
)
def last_cached_word_read_again() -> AbstractContextManager[None]:
    return edited(
        "transformers.generation.utils:GenerationMixin._get_initial_cache_position",
        ("cache_position = cache_position[past_length:]", "cache_position = cache_position[max(past_length - 1, 0) :]"),
    )


def _two_turns() -> object:
    import torch

    model, ids = observe.gpt2(), torch.tensor(observe.PROMPTS[:1])
    with observe.quiet():
        first = model.generate(ids, max_new_tokens=3, return_dict_in_generate=True)
        second = model.generate(
            torch.cat([first.sequences, ids], dim=1),
            past_key_values=first.past_key_values,
            max_new_tokens=5,
            return_dict_in_generate=True,
            output_scores=True,
        )
    return observe.plain([second.sequences, second.scores])
