"""Faults of a model that labels words."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "offsets-collapsed",
        "A token ends where it starts.",
        reference="huggingface/transformers#33675",
        patch=lambda: edited(
            "transformers.tokenization_utils_fast:PreTrainedTokenizerFast._convert_encoding",
            ("append(e.offsets)", "append([(start, start) for start, _ in e.offsets])"),
        ),
        test="test_tokens",
        cause="tokenizer",
    ),
    ProjectFault(
        "positions-shifted",
        "The words are numbered from 1.",
        reference="huggingface/transformers#11242",
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertEmbeddings.forward",
            (
                "position_embeddings = self.position_embeddings(position_ids)",
                "position_embeddings = self.position_embeddings(position_ids + 1)",
            ),
        ),
        test="test_words",
        cause="forward",
    ),
)
