"""The search for the first bad release: pure, it knows no package, environment or test.

Only `bisect` stands on it, and hands in what judges one release.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Judgement(StrEnum):
    """What one release turned out to be."""

    GOOD = "good"
    BAD = "bad"
    UNTESTABLE = "untestable"
    OTHERWISE = "otherwise"  # it fails, but not in the way that the bad end does


@dataclass(frozen=True)
class Judged:
    """One release, what it is, and why."""

    version: str
    judgement: Judgement
    reason: str


@dataclass(frozen=True)
class Found:
    """Where the change lies.

    Args:
        good: the last release known to be good.
        bad: the first release known to be bad.
        between: the releases between the two, in order; none of them could be judged.
        judged: every release that was looked at, in the order of looking.
    """

    good: Judged
    bad: Judged
    between: tuple[Judged, ...]
    judged: tuple[Judged, ...]

    @property
    def exact(self) -> bool:
        """Whether `bad` is the first bad release, and not only the end of a bracket."""
        return not self.between


class EndMisjudged(Exception):
    """An end of the range is not good or bad as stated, so there is nothing to search.

    Args:
        expected: what it was said to be.
        judged: what it is.
    """

    def __init__(self, expected: Judgement, judged: Judged) -> None:
        super().__init__(f"{judged.version} is {judged.judgement}, not {expected}: {judged.reason}")
        self.expected = expected
        self.judged = judged


def search(candidates: Sequence[str], judge: Callable[[str, int], Judged]) -> Found:
    """Return where good turns into bad.

    Each release is judged at most once. Beyond the two ends it takes about log2 of their number, and one more for
    every release that turns out to be neither good nor bad.

    Args:
        candidates: two or more releases, the one that is said to be good first, the one said to be bad last.
        judge: judges a release; its second argument is how many further ones will follow at most, as long as none is
            untestable.

    Raises:
        EndMisjudged: the first is not good, or the last not bad.
    """
    steps = _Steps(judge)
    low, high = 0, len(candidates) - 1
    inside = list(range(1, high))
    # Both ends first: what follows from a wrong end is worth nothing, and each test run costs minutes.
    steps.verify(candidates[low], Judgement.GOOD, left=1 + _halvings(len(inside)))
    steps.verify(candidates[high], Judgement.BAD, left=_halvings(len(inside)))
    while inside:
        middle = inside[len(inside) // 2]
        lower, upper = [at for at in inside if at < middle], [at for at in inside if at > middle]
        judgement = steps.take(candidates[middle], left=_halvings(max(len(lower), len(upper)))).judgement
        if judgement is Judgement.GOOD:
            low, inside = middle, upper
        elif judgement is Judgement.BAD:
            high, inside = middle, lower
        else:
            inside = lower + upper
    return steps.found(candidates[low : high + 1])


class _Steps:
    """What has been judged so far."""

    def __init__(self, judge: Callable[[str, int], Judged]) -> None:
        self._judge = judge
        self._judged: dict[str, Judged] = {}

    def take(self, version: str, left: int) -> Judged:
        self._judged[version] = self._judge(version, left)
        return self._judged[version]

    def verify(self, version: str, expected: Judgement, left: int) -> None:
        judged = self.take(version, left)
        if judged.judgement is not expected:
            raise EndMisjudged(expected, judged)

    def found(self, bracket: Sequence[str]) -> Found:
        good, *between, bad = (self._judged[version] for version in bracket)
        return Found(good, bad, tuple(between), tuple(self._judged.values()))


def _halvings(count: int) -> int:
    """Return how many judgements find one place among `count` releases."""
    return count.bit_length()
