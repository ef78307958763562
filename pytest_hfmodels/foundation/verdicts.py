"""The verdicts by severity, for all code that ranks, sorts or counts them."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What a test or a comparison comes to, most serious first; everything but `same` fails a test.

    `broken` is a test's alone: it failed for a reason other than a comparison.
    """

    CHANGED = "changed"
    BROKEN = "broken"
    MISSING = "missing"
    NEAR_TIE = "near-tie"
    DRIFT = "drift"
    SAME = "same"


BY_SEVERITY = tuple(Verdict)


def severity(verdict: str | None) -> int:
    """Return a verdict's rank: 0 for the most serious. None and other strings rank last."""
    return BY_SEVERITY.index(Verdict(verdict)) if verdict in BY_SEVERITY else len(BY_SEVERITY)
