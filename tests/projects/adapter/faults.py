"""Faults of an adapter."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "lora-scaling-dropped",
        "PEFT adds the product of the two small matrices without its factor alpha / r.",
        reference="huggingface/peft#1355",
        patch=lambda: edited(
            "peft.tuners.lora.layer:Linear.forward",
            ("lora_B(lora_A(dropout(x))) * scaling", "lora_B(lora_A(dropout(x)))"),
        ),
        test="test_score",
        cause="forward",
        verdict="drift",
    ),
)
