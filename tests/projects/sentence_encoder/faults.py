"""Faults of a sentence encoder, and of what surrounds it."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

_BERT = "transformers.models.bert.modeling_bert"

FAULTS = (
    ProjectFault(
        "positions-shifted",
        "BERT reads the position embeddings one place too far.",
        reference="huggingface/transformers#1261",
        patch=lambda: edited(
            f"{_BERT}:BertEmbeddings.forward",
            ("position_ids = self.position_ids[:, ", "position_ids = 1 + self.position_ids[:, "),
        ),
        test="test_vectors",
        cause="forward",
        verdict="drift",
    ),
    ProjectFault(
        "states-truncated",
        "The feature-extraction pipeline returns the first token's state only.",
        reference="huggingface/transformers#6925",
        patch=lambda: edited(
            "transformers.pipelines.feature_extraction:FeatureExtractionPipeline.postprocess",
            ("model_outputs[0].tolist()", "model_outputs[0][:, :1].tolist()"),
        ),
        test="test_pipeline",
        cause=None,
    ),
)
