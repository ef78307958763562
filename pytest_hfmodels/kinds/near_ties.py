"""Decisions that are closer than numbers are certain: the figures of a near-tie. Pure; for `compare` and `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.tolerance import noise_floor

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.base import Record


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


def floor_of_tie(recorded: Record, observed: Record) -> float:
    """Return the noise floor for a tie: that of the finer dtype, and within an engine for numbers from torch.

    A file must not turn a change into a tie by what it claims. `assertion` does the same for the tolerance.
    """
    then, now = recorded.provenance, observed.provenance
    same_engine = now.engine == "torch" or then.engine == now.engine
    return min(noise_floor(dtype, same_engine=same_engine) for dtype in (then.dtype, now.dtype))
