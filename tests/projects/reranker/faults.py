"""Faults of a reranker."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "last-word-pooled",
        "The score is read at the last word instead of the first.",
        reference="huggingface/transformers#35909",
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertPooler.forward", ("hidden_states[:, 0]", "hidden_states[:, -1]")
        ),
        test="test_scores",
        cause="forward",
        verdict="drift",
    ),
)
