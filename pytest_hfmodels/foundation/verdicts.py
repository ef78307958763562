"""The verdicts by severity, for all code that ranks, sorts or counts them."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """The verdict of a test or a comparison, most serious first; all but `same` fail a test.

    Only a test can be `broken`: it failed for another reason than a comparison.
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
