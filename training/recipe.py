"""What the trainings share: the rate's schedule, the loss of the topics, and the report of what was reached.

Imported by the training scripts only.
"""

import math
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional


def rate(step: int, steps: int, warm_up: int) -> float:
    """Return the learning rate's factor: a linear warm-up, then a cosine to zero."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def topic_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the losses of both readings of the one head.

    Multi-label: binary cross-entropy on all texts. Single-label: cross-entropy on the
    texts with exactly one topic.
    """
    single = labels.sum(dim=1) == 1
    several = functional.binary_cross_entropy_with_logits(logits, labels)
    one = functional.cross_entropy(logits[single], labels[single].argmax(dim=1))
    return several + one


@dataclass
class Report:
    """Prints what was measured and remembers which requirements do not hold."""

    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, requirement: str) -> None:
        """Print a requirement and whether it holds."""
        print(f"  {'ok  ' if holds else 'FAIL'} {requirement}")
        if not holds:
            self.failures.append(requirement)
