"""Which token of a text a classifier reads."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

CLASSIFY = "transformers.models.gpt2.modeling_gpt2:GPT2ForSequenceClassification.forward"
RIGHTMOST = "(token_indices * non_pad_mask).argmax(-1)"
WITH_PAD_INSIDE = ((7, observe.PAD, 9, 3), (5, 4, observe.PAD, observe.PAD))

FAULTS = (
    Fault(
        "pooled-by-the-number-of-tokens",
        "The classifier reads index `number of tokens - 1`, on whichever side the padding is.",
        reference="huggingface/transformers#24979",
        shown_by=lambda: observe.classified(observe.PROMPTS),
        patch=lambda: edited(CLASSIFY, (RIGHTMOST, "non_pad_mask.sum(-1) - 1")),
    ),
    Fault(
        "pooled-before-the-first-pad-token",
        "The classifier reads the token before the first pad token, even if that is inside the text.",
        reference="huggingface/transformers#35911",
        shown_by=lambda: observe.classified(WITH_PAD_INSIDE),
        patch=lambda: edited(
            CLASSIFY, (RIGHTMOST, "((non_pad_mask == 0).int().argmax(-1) - 1) % non_pad_mask.shape[-1]")
        ),
    ),
    Fault(
        "pooled-at-the-last-position",
        "The classifier reads the last position, even if it is padding.",
        reference="huggingface/transformers#24265",
        shown_by=lambda: observe.classified(observe.RIGHT_PADDED),
        patch=lambda: edited(CLASSIFY, (RIGHTMOST, "(token_indices + 0 * non_pad_mask).argmax(-1)")),
    ),
    Fault(
        "batch-without-pad-token-accepted",
        "A batch without a pad token is classified by its last position instead of being refused.",
        reference="huggingface/transformers#7501",
        shown_by=lambda: observe.classified(observe.RIGHT_PADDED, pad_token_id=None),
        patch=lambda: edited(
            CLASSIFY, ("if self.config.pad_token_id is None and batch_size != 1:", "if batch_size == 0:")
        ),
    ),
    Fault(
        "transfo-xl-pools-the-first-word",
        "Transformer-XL's classifier reads the first word if a text has no padding.",
        reference="huggingface/transformers#35352",
        shown_by=lambda: observe.transfo_xl("TransfoXLForSequenceClassification", num_labels=3, pad_token_id=1),
        patch=lambda: edited(
            "pytest_hfmodels.transfo_xl.heads:TransfoXLForSequenceClassification._pooled",
            ("(first - 1) % input_ids.shape[1]", "(first - 1).clamp(min=0)"),
        ),
    ),
    Fault(
        "pad-token-0-taken-for-none",
        "A pad token with id 0 counts as no pad token, so the classifier reads the last position.",
        reference="huggingface/transformers#47286",
        shown_by=lambda: observe.classified(observe.RIGHT_PADDED),
        patch=lambda: edited(
            CLASSIFY,
            (
                "if self.config.pad_token_id is None:\n            last",
                "if not self.config.pad_token_id:\n            last",
            ),
        ),
        later=True,
    ),
)
