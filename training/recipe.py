"""What the trainings share: the command line, the rate's schedule, the loss of the topics, and the report.

Imported by the training scripts only.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers.utils import logging

BUNDLED = Path(__file__).resolve().parent.parent / "pytest_hfmodels/checkpoints/bundled"


def run(
    name: str,
    build: Callable[[Path, int], None],
    report: Callable[[Path], list[str]],
    *,
    about: str | None,
    steps: int,
    threads: int,
) -> int:
    """Train, write, report; the exit code is 1 when a requirement does not hold.

    Args:
        name: of the bundled checkpoint.
        build: trains for a number of steps, and writes the checkpoint into a folder.
        report: prints what a checkpoint reaches, and returns the requirements that do not hold.
        about: what `--help` says.
        steps: of a whole training.
        threads: torch's; with another number the weights would be others.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--output", type=Path, default=BUNDLED / name, help="default: bundled")
    parser.add_argument("--steps", type=int, default=steps, help="fewer for a trial")
    arguments = parser.parse_args()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    logging.set_verbosity_error()
    arguments.output.mkdir(parents=True, exist_ok=True)
    build(arguments.output, arguments.steps)
    failures = report(arguments.output)
    print(f"{len(failures)} requirements do not hold" if failures else "all is well")
    return 1 if failures else 0


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
