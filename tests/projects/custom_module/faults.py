"""Faults of what a project's own module stands on."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "pooled-activation-scaled",
        "The activation of the pooled output is scaled.",
        reference="vllm-project/vllm#32148",
        patch=lambda: edited(
            "transformers.models.bert.modeling_bert:BertPooler.forward",
            ("pooled_output = self.activation(pooled_output)", "pooled_output = 0.9 * self.activation(pooled_output)"),
        ),
        test="test_outputs",
        cause=None,  # the project built the model, so the plugin cannot load it again
        verdict="drift",
    ),
)
