"""The verdicts in their one order, for everything that ranks, sorts or counts them. Every room may import this."""

from __future__ import annotations

from typing import Literal, get_args

# Of a test: `broken` is one that failed otherwise than by a comparison. The gravest first.
Verdict = Literal["changed", "broken", "missing", "near-tie", "drift", "same"]

GRAVITY: tuple[Verdict, ...] = get_args(Verdict)


def gravity(verdict: str) -> int:
    """Return a verdict's rank: 0 for the gravest. What is no verdict comes after all that are."""
    return GRAVITY.index(verdict) if verdict in GRAVITY else len(GRAVITY)
