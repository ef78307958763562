"""Greedy and beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "Beam search repeats the prompts row by row and their masks batch by batch, so that rows get each other's padding.",
    reference="huggingface/transformers#21624",
    shown_by=lambda: observe.beams(),
)
def masks_expanded_in_another_order() -> AbstractContextManager[None]:
    return edited(
        "transformers.generation.utils:GenerationMixin._expand_inputs_for_generation",
        (
            "dict_to_expand[key].repeat_interleave(expand_size, dim=0)",
            "torch.cat([dict_to_expand[key]] * expand_size)",
        ),
    )
