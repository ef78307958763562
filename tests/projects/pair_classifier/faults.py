"""Faults of an encoder that classifies pairs."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

_EMBEDDINGS = "transformers.models.bert.modeling_bert:BertEmbeddings.forward"

FAULTS = (
    ProjectFault(
        "types-ignored",
        "Both texts of a pair are embedded as the first one.",
        reference="elixir-nx/bumblebee#444",
        patch=lambda: edited(
            _EMBEDDINGS,
            (
                "embeddings = inputs_embeds + token_type_embeddings",
                "embeddings = inputs_embeds + 0 * token_type_embeddings",
            ),
        ),
        test="test_pairs",
        cause="forward",
        verdict="changed",
    ),
    ProjectFault(
        "types-not-made",
        "The tokenizer gives both texts of a pair token type 0.",
        reference="elixir-nx/bumblebee#444",
        patch=lambda: edited(
            "transformers.tokenization_utils_fast:PreTrainedTokenizerFast._convert_encoding",
            (
                'encoding_dict["token_type_ids"].append(e.type_ids)',
                'encoding_dict["token_type_ids"].append([0] * len(e.ids))',
            ),
        ),
        test="test_pairs",
        cause="tokenizer",
    ),
    ProjectFault(
        "padding-attended",
        "Words attend to the padding of a shorter text.",
        reference="huggingface/transformers#278",
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertModel.forward",
            (
                "            attention_mask=extended_attention_mask,",
                "            attention_mask=0 * extended_attention_mask,",
            ),
        ),
        test="test_pairs",
        cause="forward",
    ),
)
