"""Text to ids, and the mask beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PADDED_BY_THE_END = {"pad_token": "<|endoftext|>"}  # as GPT-2 is used, which has no pad token


@fault(
    "The attention mask is read off the ids, so that a pad token inside a text is masked as well.",
    reference="huggingface/transformers#23530",
    shown_by=lambda: observe.tokenizer(**PADDED_BY_THE_END)(["Hello<|endoftext|>My name is", "Hello"], padding=True)[
        "attention_mask"
    ],
)
def mask_read_off_the_ids() -> AbstractContextManager[None]:
    return edited(
        "transformers.tokenization_utils_fast:PreTrainedTokenizerFast._convert_encoding",
        (
            'encoding_dict["attention_mask"].append(e.attention_mask)',
            'encoding_dict["attention_mask"].append([int(token != self.pad_token_id) for token in e.ids])',
        ),
    )
