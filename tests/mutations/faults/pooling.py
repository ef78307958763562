"""Which token speaks for a text in a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

CLASSIFY = "transformers.models.gpt2.modeling_gpt2:GPT2ForSequenceClassification.forward"
RIGHTMOST = "(token_indices * non_pad_mask).argmax(-1)"
WITH_PAD_INSIDE = ((7, observe.PAD, 9, 3), (5, 4, observe.PAD, observe.PAD))


@fault(
    "The number of tokens less one is pooled, whatever side the padding is on.",
    reference="huggingface/transformers#24979",
    shown_by=lambda: observe.classified(observe.PROMPTS),
)
def pooled_by_the_number_of_tokens() -> AbstractContextManager[None]:
    return edited(CLASSIFY, (RIGHTMOST, "non_pad_mask.sum(-1) - 1"))


@fault(
    "The token before the first pad token is pooled, even if that stands inside the text.",
    reference="huggingface/transformers#35911",
    shown_by=lambda: observe.classified(WITH_PAD_INSIDE),
)
def pooled_before_the_first_pad_token() -> AbstractContextManager[None]:
    return edited(CLASSIFY, (RIGHTMOST, "((non_pad_mask == 0).int().argmax(-1) - 1) % non_pad_mask.shape[-1]"))


@fault(
    "The last position is pooled, padding or not.",
    reference="huggingface/transformers#24265",
    shown_by=lambda: observe.classified(observe.RIGHT_PADDED),
)
def pooled_at_the_last_position() -> AbstractContextManager[None]:
    return edited(CLASSIFY, (RIGHTMOST, "(token_indices + 0 * non_pad_mask).argmax(-1)"))


@fault(
    "A batch without a pad token is classified by its last position, where it should be refused.",
    reference="huggingface/transformers#7501",
    shown_by=lambda: observe.classified(observe.RIGHT_PADDED, pad_token_id=None),
)
def batch_without_pad_token_accepted() -> AbstractContextManager[None]:
    return edited(
        CLASSIFY,
        (
            "if self.config.pad_token_id is None and batch_size != 1:",
            "if batch_size == 0:",
        ),
    )


@fault(
    "Transformer-XL pools its first word where a text has no padding.",
    reference="huggingface/transformers#35352",
    shown_by=lambda: observe.transfo_xl("TransfoXLForSequenceClassification", num_labels=3, pad_token_id=1),
)
def transfo_xl_pools_the_first_word() -> AbstractContextManager[None]:
    return edited(
        "pytest_hfmodels.transfo_xl.heads:TransfoXLForSequenceClassification._pooled",
        ("(first - 1) % input_ids.shape[1]", "(first - 1).clamp(min=0)"),
    )
