"""Decisions that are closer than numbers are certain: the figures of a near-tie. Pure; for `compare` and `explain`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.snapshots.tolerance import noise_floor

if TYPE_CHECKING:
    from pytest_hfmodels.records import ClassificationRecord, GenerationRecord, Record


@dataclass(frozen=True)
class Tie:
    """How close a decision was that fell the other way, and how far numbers have moved up to it.

    Args:
        position: of the token, or of the classifier's input.
        drift: the largest movement of a number up to the decision.
        floor: how far numbers move between equally right computations.
        margin: by how much the decision was recorded to have fallen as it did.
        gap: by how much it now falls the other way.
    """

    position: int
    drift: float
    floor: float
    margin: float
    gap: float

    @property
    def proven(self) -> bool:
        """Whether rounding alone can have turned the decision: nothing larger has moved, and nothing larger had to."""
        figures = (self.drift / self.floor, self.margin / (2 * self.floor), abs(self.gap) / (2 * self.floor))
        return all(0 <= figure <= 1 for figure in figures)  # NaN is neither


def floor_of(recorded: Record, observed: Record) -> float:
    """Return how far numbers of these two may stand apart though both are right."""
    then, now = recorded.provenance, observed.provenance
    return noise_floor(then.dtype, now.dtype, same_engine=then.engine == now.engine)


def _floor_of_tie(recorded: Record, observed: Record) -> float:
    """Return the noise floor for a tie: that of the finer dtype, and within an engine for numbers from torch.

    A file must not turn a change into a tie by what it claims. `assertion` does the same for the tolerance.
    """
    then, now = recorded.provenance, observed.provenance
    same_engine = now.engine == "torch" or then.engine == now.engine
    return min(noise_floor(dtype, same_engine=same_engine) for dtype in (then.dtype, now.dtype))


def token_tie(recorded: GenerationRecord, observed: GenerationRecord, split: int) -> Tie | None:
    """Return the figures of a greedy search's first token that differs, or None where they are not known.

    Args:
        recorded: from the snapshot.
        observed: with what the model said of the whole vocabulary.
        split: index of that token; numbers are looked up for the recorded tokens up to and with it.
    """
    live = observed.live
    if recorded.beams or live is None or split >= min(len(recorded.steps), len(observed.steps)):
        return None
    if max(recorded.ids[: split + 1]) >= live.log_probabilities.shape[1]:
        return None  # the vocabulary has shrunk
    moved = [
        abs(step.log_probability - float(live.log_probabilities[position, step.id]))
        for position, step in enumerate(recorded.steps[: split + 1])
    ]
    scores = live.scores[split]
    return Tie(
        position=split,
        drift=math.nan if any(map(math.isnan, moved)) else max(moved),
        floor=_floor_of_tie(recorded, observed),
        margin=recorded.steps[split].margin,
        gap=float(scores[observed.ids[split]] - scores[recorded.ids[split]]),
    )


def label_ties(recorded: ClassificationRecord, observed: ClassificationRecord) -> list[Tie]:
    """Return the figures of every reading of a classifier's logits that fell the other way."""
    floor = _floor_of_tie(recorded, observed)
    found = []
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if len(before.logits) != len(now.logits):
            continue
        moved = [abs(then - here) for then, here in zip(before.logits, now.logits, strict=True)]
        drift = math.nan if any(map(math.isnan, moved)) else max(moved, default=0.0)
        if before.label != now.label:
            found.append(Tie(position, drift, floor, before.margin, now.margin))
        crossed = [pair for pair in zip(before.logits, now.logits, strict=True) if (pair[0] > 0) != (pair[1] > 0)]
        if before.labels != now.labels:
            sizes = [(abs(then), abs(here)) for then, here in crossed] or [(math.inf, math.inf)]
            found.append(Tie(position, drift, floor, *max(sizes)))
    return found
