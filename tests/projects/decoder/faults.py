"""Faults of a decoder."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "rotary-angles-halved",
        "Rotary positions advance half as fast.",
        reference="huggingface/transformers#25104",
        patch=lambda: edited(
            "transformers.models.llama.modeling_llama:LlamaRotaryEmbedding.forward",
            ("cos = emb.cos()", "emb = emb / 2\n            cos = emb.cos()"),
        ),
        test="test_greedy",
        cause="forward",
    ),
)
