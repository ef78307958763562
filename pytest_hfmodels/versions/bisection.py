"""The search for the first bad release. It knows no package, environment or test."""

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
    OTHER_FAILURE = "other-failure"  # it fails, but not as the bad end does


@dataclass(frozen=True)
class Judged:
    """One release, what it is, and why."""

    version: str
    judgement: Judgement
    reason: str


@dataclass(frozen=True)
class Bracket:
    """Where the change lies."""

    good: Judged  # the last release known to be good
    bad: Judged  # the first release known to be bad
    between: tuple[Judged, ...]  # the releases between the two, in order; none of them is good or bad
    judged: tuple[Judged, ...]  # all of them, in the order in which they were judged

    @property
    def exact(self) -> bool:
        """Whether `bad` is the first bad release, and not only the end of a bracket."""
        return not self.between


class EndMisjudged(Exception):
    """An end of the range is not good or bad as stated, so there is nothing to search."""

    def __init__(self, expected: Judgement, judged: Judged) -> None:
        super().__init__(f"{judged.version} is {judged.judgement}, not {expected}: {judged.reason}")
        self.expected = expected
        self.judged = judged


def search(
    candidates: Sequence[str], judge: Callable[[str, int], Judged], likely: Callable[[], str | None] = lambda: None
) -> Bracket:
    """Return where good turns into bad.

    Each release is judged at most once. Beyond the two ends it takes about log2 of their number, and one more for
    every release that turns out to be neither good nor bad.

    Args:
        candidates: two or more releases, from the good end to the bad one.
        judge: judges a release; its second argument is how many more will follow at most, if all can be tested.
        likely: called once both ends are judged; the first bad release by another source, which is tried first.

    Raises:
        EndMisjudged: an end is not good or bad.
    """
    judged: dict[str, Judged] = {}
    low, high = 0, len(candidates) - 1
    inside = list(range(1, high))
    # Both ends first: nothing follows from a wrong end, and each test run costs minutes.
    for end, expected, follows in ((low, Judgement.GOOD, 1), (high, Judgement.BAD, 0)):
        found = judged[candidates[end]] = judge(candidates[end], follows + len(inside).bit_length())
        if found.judgement is not expected:
            raise EndMisjudged(expected, found)
    hints = _around(likely(), candidates) if inside else []
    while inside:
        hinted = next((index for index in hints if index in inside), None)
        half = len(inside) // 2 if hinted is None else inside.index(hinted)
        lower, middle, upper = inside[:half], inside[half], inside[half + 1 :]
        found = judged[candidates[middle]] = judge(candidates[middle], max(len(lower), len(upper)).bit_length())
        if found.judgement is Judgement.GOOD:
            low, inside = middle, upper
        elif found.judgement is Judgement.BAD:
            high, inside = middle, lower
        else:
            inside = lower + upper
    good, *between, bad = (judged[version] for version in candidates[low : high + 1])
    return Bracket(good, bad, tuple(between), tuple(judged.values()))


def _around(release: str | None, candidates: Sequence[str]) -> list[int]:
    """Return the places of a release and of the one before it: bad and good, if it is the first bad one."""
    if release not in candidates:
        return []
    place = candidates.index(release)
    return [place, place - 1]
