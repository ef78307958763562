"""The forward pass of GPT-2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "sdpa leaves the mask out where the newest words are no padding, and so sees the padding from the second step on.",
    reference="huggingface/transformers#39573",
    shown_by=lambda: observe.greedy(model={"attention": "sdpa"}),
)
def sdpa_mask_judged_by_the_newest_words() -> AbstractContextManager[None]:
    return edited(
        "transformers.masking_utils:_ignore_causal_mask_sdpa",
        ("                padding_mask.all()\n", "                padding_mask[:, -query_length:].all()\n"),
    )
