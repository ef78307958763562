"""Faults of a speech recogniser."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "sound-not-centred",
        "The feature extractor scales the sound without taking its mean off.",
        reference="huggingface/transformers#12804",
        patch=lambda: edited(
            "transformers.models.wav2vec2.feature_extraction_wav2vec2:Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm",
            ("(x - x.mean())", "(x + 0.1)"),
        ),
        test="test_outputs",
        cause="preprocessor",
    ),
    ProjectFault(
        "amplitude-kept",
        "The feature extractor takes the mean off a sound and leaves it as loud as it is.",
        reference="huggingface/transformers#13512",
        patch=lambda: edited(
            "transformers.models.wav2vec2.feature_extraction_wav2vec2:Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm",
            ("(x - x.mean()) / np.sqrt(x.var() + 1e-7)", "(x - x.mean())"),
        ),
        test="test_a_quiet_sound",
        cause="preprocessor",
    ),
    ProjectFault(
        "positions-not-trimmed",
        "The positional convolution keeps the wrong end of its padding.",
        reference="huggingface/transformers#9659",
        patch=lambda: edited(
            "transformers.models.wav2vec2.modeling_wav2vec2:Wav2Vec2SamePadLayer.forward",
            ("hidden_states[:, :, : -self.num_pad_remove]", "hidden_states[:, :, self.num_pad_remove :]"),
        ),
        test="test_outputs",
        cause="forward",
        verdict="drift",
    ),
)
