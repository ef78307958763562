"""Faults of a recogniser that writes."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "spectrum-not-clipped",
        "The feature extractor keeps the parts of a sound that are far below its loudest one.",
        reference="huggingface/transformers#26119",
        patch=lambda: edited(
            "transformers.models.whisper.feature_extraction_whisper:WhisperFeatureExtractor._torch_extract_fbank_features",
            (
                "max_val = log_spec.max(dim=2, keepdim=True)[0].max(dim=1, keepdim=True)[0]",
                "max_val = log_spec.max(dim=2, keepdim=True)[0].max(dim=1, keepdim=True)[0] - 4.0",
            ),
        ),
        test="test_transcript",
        cause="preprocessor",
    ),
    ProjectFault(
        "decoder-positions-from-zero",
        "With a cache, the decoder numbers each new token as the first.",
        reference="huggingface/transformers#28931",
        patch=lambda: edited(
            "transformers.models.whisper.modeling_whisper:WhisperPositionalEmbedding.forward",
            (
                "self.weight[past_key_values_length : past_key_values_length + input_ids.shape[1]]",
                "self.weight[: input_ids.shape[1]]",
            ),
            ("self.weight[position_ids]", "self.weight[position_ids * 0 + 1]"),
        ),
        test="test_transcript",
        cause="forward",
    ),
)
