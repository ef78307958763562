"""Whether a record contradicts itself: where no logits processor is on, generating and one forward pass say the same.

Pure; for `assertion`, which warns when such a record is made, and for `explain`, which says which side it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.snapshots.tolerance import tolerance_for

if TYPE_CHECKING:
    from pytest_hfmodels.records import GenerationRecord, Live
    from pytest_hfmodels.snapshots.tolerance import Tolerance


@dataclass(frozen=True)
class Contradiction:
    """The first token whose log-probability while generating is not that of a forward pass.

    Args:
        position: of the token, from 0.
        text: of the token.
        forward: its log-probability in one forward pass over the result, nats.
        generating: its log-probability where it was chosen, nats.
    """

    position: int
    text: str
    forward: float
    generating: float

    @property
    def sentence(self) -> str:
        """What disagrees, with both figures."""
        return (
            f"no logits processor is on, and the log-probability of token {self.position + 1} ({self.text!r}) is "
            f"{self.forward:.6g} in a forward pass, but {self.generating:.6g} while generating"
        )


def contradiction(
    record: GenerationRecord, *, live: Live | None = None, tolerance: Tolerance | None = None
) -> Contradiction | None:
    """Return where a record contradicts itself; None where it does not, or where nobody can tell.

    Args:
        record: greedy or of a beam search, whose scores along the returned beam are log-probabilities too.
        live: of a run with the same settings, for a record that was read from a file: it knows whether a logits
            processor was on.
        tolerance: what the project allows numbers to move by, where that is more than the dtype's own: as numbers of
            an honest cache differ less than those of another machine.
    """
    known = record.live if live is None else live
    if known is None or not known.plain_scores:
        return None
    own = tolerance_for(record.provenance.dtype, same_engine=True)
    allowed = own if tolerance is None or tolerance.absolute < own.absolute else tolerance
    for position, step in enumerate(record.steps):
        if not allowed.accepts(step.log_probability, step.processed):
            return Contradiction(position, step.text, step.log_probability, step.processed)
    return None
