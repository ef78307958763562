"""Faults of a quantised decoder."""

from tests.mutations.patches import edited
from tests.projects.fault import ProjectFault

FAULTS = (
    ProjectFault(
        "one-scale-for-all-rows",
        "A quantised matrix has one scale instead of one for each row.",
        reference="huggingface/optimum-quanto#137",
        patch=lambda: edited(
            "optimum.quanto.nn.qlinear:QLinear.forward",
            ("self.qweight, bias", "self.qweight._data.to(input.dtype) * self.qweight._scale.mean(), bias"),
        ),
        test="test_score",
        cause="forward",
        verdict="drift",
    ),
)
