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
        "scores-of-the-last-token",
        "The pipeline gives a group of tokens the score of its last one, and not their mean.",
        reference="huggingface/transformers#9816",
        patch=lambda: edited(
            "transformers.pipelines.token_classification:TokenClassificationPipeline.group_sub_entities",
            ('np.nanmean([entity["score"] for entity in entities])', 'entities[-1]["score"]'),
        ),
        test="test_entities",
        cause=None,
        verdict="drift",
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
