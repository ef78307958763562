"""The causes of a run, each once: in a sentence, since when, how many tests, and how to get the old output back."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.kinds.explanation import in_words
from pytest_hfmodels.results.describe import in_floors, whole_numbers_differ
from pytest_hfmodels.results.remedies import remedy, shared_sentence, since

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.results.model import Compared, TestResult

_REMEDIES = 4
_SENTENCES = 3


@dataclass(frozen=True)
class Cause:
    """One cause, and the comparisons that it explains.

    Args:
        name: one of `CAUSES`; None if it is not known.
        sentence: the cause in words; if it is not known, what the explanations say, the commonest first.
        since: from which release the output differs, or the releases in between; empty if no release is the reason.
        figures: `2 tests, 14 tokens changed, numbers up to the change moved by at most 0.001`.
        command: the command that says more, or None.
        remedy: what to do for the old output, or an empty string.
        verdict: the gravest.
        tests: names of the tests.
    """

    name: str | None
    sentence: str
    since: str
    figures: str
    command: str | None
    remedy: str
    verdict: str
    tests: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name for a reader."""
        return in_words(self.name)


def causes(found: Iterable[tuple[TestResult, Compared]]) -> tuple[Cause, ...]:
    """Return the causes of comparisons that differ: the gravest first, of those the commonest, unknown ones last."""
    groups: dict[tuple[str | None, str], list[tuple[TestResult, Compared]]] = defaultdict(list)
    for test, one in found:
        if one.explanation is not None:
            groups[one.cause, shared_sentence(one.explanation.sentence) if one.cause else ""].append((test, one))
    every = [_cause(group) for group in groups.values()]
    return tuple(sorted(every, key=lambda cause: (severity(cause.verdict), cause.name is None, -len(cause.tests))))


def _cause(group: Sequence[tuple[TestResult, Compared]]) -> Cause:
    members = [one for _, one in group]
    first, tests = members[0], tuple(dict.fromkeys(test.id for test, _ in group))
    explained = [one.explanation for one in members if one.explanation is not None]
    sentences = Counter(shared_sentence(one.sentence) for one in explained)
    # A share of one test is not that of the others.
    sentence = explained[0].sentence if len(members) == 1 else _sentences(sentences)
    return Cause(
        name=first.cause,
        sentence=sentence,
        since=", ".join(dict.fromkeys(filter(None, map(since, members)))),
        figures=", ".join(_figures(len(tests), members)),
        command=next((command for one in explained for command in one.suggests), None),
        remedy=_first([one for one in dict.fromkeys(map(remedy, members)) if one]),
        verdict=min((one.verdict for one in members), key=severity),
        tests=tests,
    )


def _sentences(found: Counter[str]) -> str:
    """Return a sentence that all comparisons share, or the commonest of several, each with its number."""
    if len(found) == 1:
        return next(iter(found))
    shown = [f"{sentence} ({counted(number, 'output')})" for sentence, number in found.most_common(_SENTENCES)]
    more = len(found) - len(shown)
    return "; ".join([*shown, *([f"and {counted(more, 'other reason')}"] if more else [])])


def _first(remedies: Sequence[str]) -> str:
    """Return the first of several remedies, and how many more there are."""
    more = len(remedies) - _REMEDIES
    return "; ".join([*remedies[:_REMEDIES], *([f"and {more} more"] if more > 0 else [])])


def _figures(tests: int, members: Sequence[Compared]) -> Iterator[str]:
    yield counted(tests, "test")
    tokens = sum(one.changed for one in members)
    if tokens:
        yield f"{counted(tokens, 'token')} changed"
    moved = [(one.drift, one) for one in members if one.drift is not None]
    if moved:
        largest, most = max(moved, key=lambda pair: math.inf if math.isnan(pair[0]) else pair[0])
        numbers = "numbers up to the change" if tokens else "numbers"  # an explanation may count those after it, too
        if any(map(whole_numbers_differ, members)):
            numbers = "numbers with a tolerance"
        yield (
            f"{numbers} moved by at most {largest:.2g}{in_floors(largest, most.recorded)}"
            if largest
            else f"no {numbers.replace('numbers', 'number')} moved"
        )


def counted(number: int, what: str) -> str:
    """Return `1 test`, `2 tests`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
