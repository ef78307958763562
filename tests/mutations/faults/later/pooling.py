"""Which token speaks for a text in a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "A pad token whose id is 0 is taken for none, and the last position is pooled.",
    reference="huggingface/transformers#47286",
    shown_by=lambda: observe.classified(observe.RIGHT_PADDED),
)
def pad_token_0_taken_for_none() -> AbstractContextManager[None]:
    return edited(
        "transformers.models.gpt2.modeling_gpt2:GPT2ForSequenceClassification.forward",
        (
            "if self.config.pad_token_id is None:\n            last_non_pad_token = -1",
            "if not self.config.pad_token_id:\n            last_non_pad_token = -1",
        ),
    )
