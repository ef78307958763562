"""Checks whether a record contradicts itself: without a logits processor, `generate` must agree with a forward pass.

Pure; for `assertion`, which warns about new records, and for `explain`, which names the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.tolerance import tolerance_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds import GenerationRecord, LiveLogits
    from pytest_hfmodels.kinds.tolerance import Tolerance


@dataclass(frozen=True)
class Contradiction:
    """The first token whose log-probability differs between `generate` and a forward pass.

    Args:
        position: of the token, from 0.
        text: of the token.
        forward: its log-probability in a forward pass over the output, nats.
        generating: its log-probability in `generate`, nats.
    """

    position: int
    text: str
    forward: float
    generating: float

    @property
    def sentence(self) -> str:
        """The disagreement, with both numbers."""
        return (
            f"no logits processor is on, but the log-probability of token {self.position + 1} ({self.text!r}) is "
            f"{self.forward:.6g} in a forward pass and {self.generating:.6g} while generating"
        )


def contradiction(
    record: GenerationRecord, *, live: LiveLogits | None = None, tolerance: Tolerance | None = None
) -> Contradiction | None:
    """Return where a record contradicts itself; None if it does not, or if that is unknown.

    Args:
        record: of greedy or beam search; a beam's scores are log-probabilities, too.
        live: from a run with the same settings, for a record from a file; it knows whether a logits processor was on.
        tolerance: the project's tolerance; used if it is larger than the dtype's own.
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


def own_contradiction(record: GenerationRecord, tolerance: Tolerance) -> str | None:
    """Return a sentence if a record contradicts itself, with advice."""
    found = contradiction(record, tolerance=tolerance)
    if found is None:
        return None
    advice = " If they agree with use_cache=False, the cache of this release is broken."
    return f"{found.sentence}.{'' if record.effective.get('use_cache') is False else advice}"


def contradictions(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Evidence]:
    """Yield evidence for each side whose scores from generating differ from its own forward pass.

    `observed` knows whether a logits processor was on. If the settings are the same, that holds for both records.
    """
    live = observed.live if recorded.effective == observed.effective else None
    sides = [("this run", contradiction(observed))]
    if live is not None:
        sides.insert(0, ("the recorded side", contradiction(recorded, live=live)))
    for side, found in sides:
        if found is not None:
            yield Evidence(
                f"{side} contradicts itself at token {found.position + 1}: {found.sentence}",
                {"forward": found.forward, "generating": found.generating},
            )
