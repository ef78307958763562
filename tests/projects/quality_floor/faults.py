"""Faults that lower a classifier's accuracy."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "special-tokens-lost",
        "A fast tokenizer replaces the post-processor of tokenizer.json with one without special tokens.",
        reference="huggingface/transformers#46722",
        patch=lambda: edited(
            "transformers.tokenization_utils_fast:PreTrainedTokenizerFast.__init__",
            (
                "self._tokenizer = fast_tokenizer",
                "self._tokenizer = fast_tokenizer\n"
                "        from tokenizers.processors import TemplateProcessing\n"
                '        self._tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B:1")',
            ),
        ),
        test="test_accuracy",
        cause="tokenizer",
    ),
    ProjectFault(
        "words-in-no-order",
        "BERT adds no positions to its words.",
        reference="huggingface/transformers#33814",
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertEmbeddings.forward",
            ("embeddings += position_embeddings", "embeddings += 0 * position_embeddings"),
        ),
        test="test_accuracy",
        cause="forward",
    ),
)
