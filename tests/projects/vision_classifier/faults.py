"""Faults of a model of images."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "not-rescaled",
        "The processor normalises bytes as if they lay between 0 and 1.",
        reference="huggingface/transformers#36388",
        patch=lambda: edited(
            "transformers.models.vit.image_processing_vit:ViTImageProcessor.preprocess",
            ("        if do_rescale:\n", "        if False:\n"),
        ),
        test="test_labels",
        cause="preprocessor",
    ),
    ProjectFault(
        "positions-halved",
        "The positions of an image count half.",
        reference="huggingface/transformers#33814",
        patch=lambda: edited(
            "transformers.models.vit.modeling_vit:ViTEmbeddings.forward",
            (
                "embeddings = embeddings + self.position_embeddings",
                "embeddings = embeddings + 0.5 * self.position_embeddings",
            ),
        ),
        test="test_outputs",
        cause="forward",
        verdict="drift",
    ),
)
