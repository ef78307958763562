"""The verdicts by severity, for everything that ranks, sorts or counts them. Every package may import this."""

from __future__ import annotations

from typing import Literal, get_args

# The verdicts of a test, most serious first. `broken`: it failed for a reason other than a comparison.
Verdict = Literal["changed", "broken", "missing", "near-tie", "drift", "same"]

BY_SEVERITY: tuple[Verdict, ...] = get_args(Verdict)


def severity(verdict: str) -> int:
    """Return a verdict's rank: 0 for the most serious. Other strings rank last."""
    return BY_SEVERITY.index(verdict) if verdict in BY_SEVERITY else len(BY_SEVERITY)
