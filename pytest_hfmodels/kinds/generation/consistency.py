"""Checks whether a record contradicts itself: without a logits processor, `generate` must agree with a forward pass.

Pure; for the kind, which warns about new records, and for `explain`, which names the side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.tolerance import tolerance_for

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.generation.record import GenerationRecord, LiveLogits, Step
    from pytest_hfmodels.kinds.tolerance import Tolerance


def contradiction(
    record: GenerationRecord, live: LiveLogits | None = None, tolerance: Tolerance | None = None
) -> tuple[int, Step] | None:
    """Return the first token whose log-probability differs, with its position; None if all agree or it is unknown.

    For a record from a file, `live` of a run with the same settings knows whether a logits processor was on. The
    project's tolerance is used if it is larger than the dtype's own.
    """
    known = live or record.live
    if known is None or not known.plain_scores:
        return None
    own = tolerance_for(record.provenance.dtype, same_engine=True)
    allowed = own if tolerance is None or tolerance.absolute < own.absolute else tolerance
    steps = enumerate(record.steps)
    return next((found for found in steps if not allowed.accepts(found[1].log_probability, found[1].processed)), None)


def contradiction_sentence(position: int, step: Step) -> str:
    """Return the disagreement, with both numbers."""
    return (
        f"no logits processor is on, but the log-probability of token {position + 1} ({step.text!r}) is "
        f"{step.log_probability:.6g} in a forward pass and {step.processed:.6g} while generating"
    )
