"""Faults of an encoder-decoder."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "decoder-looks-ahead",
        "The decoder's relative positions are counted in both directions, as the encoder's are.",
        reference="huggingface/transformers#4518",
        patch=lambda: edited(
            "transformers.models.t5.modeling_t5:T5Attention.compute_bias",
            ("bidirectional=(not self.is_decoder)", "bidirectional=True"),
        ),
        test="test_greedy",
        cause="forward",
    ),
)
