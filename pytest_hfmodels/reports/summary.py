"""What every report says of a run, in this order: a headline, the causes, changed texts, drift, new tests."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.verdicts import Verdict, severity
from pytest_hfmodels.reports.causes import Cause, causes, counted
from pytest_hfmodels.results.describe import place
from pytest_hfmodels.results.model import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_hfmodels.results.model import Compared, Run, TestResult

_TEXTS = ("ids", "beams", "text")  # stages in which a text differs
_VERSIONS = 200  # characters; a report of somebody else may hold any text as a version


@dataclass(frozen=True)
class Moved:
    """The number of a comparison that moved most, as a row of a table."""

    what: str
    where: str
    was: str
    now: str
    by: str


@dataclass(frozen=True)
class Summary:
    """The tests of a run that somebody should look at, and why they differ.

    Args:
        tests: all tests of the run.
        run: the run; None if it is not over.
        others: how many more tests differ, by verdict: a grid holds the outputs of some.
    """

    tests: tuple[TestResult, ...]
    run: Run | None = None
    others: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def differing(self) -> list[tuple[TestResult, Compared]]:
        """The comparisons to decide about, the gravest first; a test may have several."""
        found = [(test, one) for test in self.tests if _counts(test) for one in test.comparisons if one.waits]
        return sorted(found, key=lambda pair: (severity(pair[1].verdict), *pair[0].place))

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Why they differ, each cause once. A test without a snapshot has none."""
        return causes(pair for pair in self.differing if pair[1].verdict != Verdict.MISSING)

    @cached_property
    def changed(self) -> list[tuple[TestResult, Compared]]:
        """Outputs that differ."""
        return self._of(Verdict.CHANGED, Verdict.NEAR_TIE)

    @cached_property
    def drifted(self) -> list[tuple[TestResult, Compared]]:
        """Outputs that are the same while numbers moved, the largest movement first."""
        return sorted(self._of(Verdict.DRIFT), key=lambda pair: -_size(pair[1].drift))

    @cached_property
    def new(self) -> list[tuple[TestResult, Compared]]:
        """Outputs that no snapshot is there for yet."""
        return self._of(Verdict.MISSING)

    @property
    def count_changed(self) -> int:
        """How many outputs changed, including those in `others`."""
        return len(self.changed) + self._others(Verdict.CHANGED, Verdict.NEAR_TIE)

    @property
    def count_drifted(self) -> int:
        """How many outputs drifted, including those in `others`."""
        return len(self.drifted) + self._others(Verdict.DRIFT)

    @property
    def count_new(self) -> int:
        """How many outputs are new, including those in `others`."""
        return len(self.new) + self._others(Verdict.MISSING)

    @cached_property
    def broken(self) -> list[TestResult]:
        """Tests that failed for another reason than a comparison."""
        return [test for test in self.tests if test.verdict == Verdict.BROKEN and test.failed]

    @property
    def headline(self) -> str:
        """`transformers 4.49.0 → 5.23.0: 2 texts changed, 10 drifted, 1 new; 2 causes`."""
        said = ", ".join(self._counts()) or f"nothing changed in {counted(len(self.tests), 'test')}"
        known = sum(cause.name is not None for cause in self.causes)
        causes = f"; {counted(known, 'cause')}" if known else ""
        return ": ".join(filter(None, (self.versions, f"{said}{causes}")))

    @cached_property
    def versions(self) -> str:
        """The package that changed, `transformers 4.49.0 → 5.23.0`; or the release of transformers if none did."""
        pairs = self._pairs_of_versions()
        if changed := changed_package(pairs):
            return cut(changed, _VERSIONS)
        here = self.run.versions.get("transformers") if self.run is not None else None
        here = here or next((now for _, now in pairs["transformers"]), None)
        return cut(f"transformers {here}", _VERSIONS) if here else ""

    @property
    def is_of_another_release(self) -> bool:
        """Whether a snapshot was recorded with another release of transformers than this run's."""
        return any(then != now for then, now in self._pairs_of_versions()["transformers"])

    def _pairs_of_versions(self) -> dict[str, list[tuple[str, str]]]:
        """Return the recorded and present versions of each package, of what differs or of all; transformers first."""
        found = [one for _, one in self.differing if one.recorded is not None]
        found = found or [one for test in self.tests for one in test.comparisons if one.recorded is not None]
        seen = [_versions(one) for one in found]
        return pairs_of_versions(seen)

    def _counts(self) -> Iterator[str]:
        counts = Counter(str(test.verdict) for test in self.tests if _counts(test))
        changed = [one for _, one in self.differing if one.verdict == Verdict.CHANGED]
        counts[Verdict.BROKEN] = len(self.broken)
        yield from verdicts_in_words(counts, [one.differences[0].stage if one.differences else "" for one in changed])

    def _others(self, *verdicts: Verdict) -> int:
        return sum(self.others.get(verdict, 0) for verdict in verdicts)

    def _of(self, *verdicts: Verdict) -> list[tuple[TestResult, Compared]]:
        return [pair for pair in self.differing if pair[1].verdict in verdicts]


def verdicts_in_words(counts: Mapping[str, int], changed: Iterable[str]) -> Iterator[str]:
    """Yield how many there are of each verdict, those without any left out.

    Args:
        counts: tests by verdict.
        changed: the first stage that differs, of each output that changed.
    """
    if counts.get(Verdict.CHANGED):
        what = "text" if all(stage in _TEXTS for stage in changed) else "output"
        yield f"{counted(counts[Verdict.CHANGED], what)} changed"
    if counts.get(Verdict.BROKEN):
        yield f"{counts[Verdict.BROKEN]:,} broken"
    if counts.get(Verdict.NEAR_TIE):
        yield counted(counts[Verdict.NEAR_TIE], "near-tie")
    if counts.get(Verdict.DRIFT):
        yield f"{counts[Verdict.DRIFT]:,} drifted"
    if counts.get(Verdict.MISSING):
        yield f"{counts[Verdict.MISSING]:,} new"


def pairs_of_versions(seen: Sequence[Mapping[str, tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """Return the distinct pairs of recorded and present versions of each package, transformers first."""
    names = dict.fromkeys(["transformers", *sorted({name for one in seen for name in one})])
    return {name: list(dict.fromkeys(one[name] for one in seen if name in one)) for name in names}


def changed_package(pairs: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """Return the first package whose version changed, `transformers 4.49.0 → 5.23.0`; empty if none did."""
    for name, both in pairs.items():
        changed = [pair for pair in both if pair[0] != pair[1]]
        if changed:
            sides = (sorted({pair[side] for pair in changed}) for side in (0, 1))
            return f"{name} {' → '.join(', '.join(side) for side in sides)}"
    return ""


def moved(found: Compared) -> Moved | None:
    """Return the number that moved most, for a table; None if no number differs, or a report has something else."""
    most = found.largest
    if most is None:
        return None
    sides = [math.nan if value is None else value for value in (most.recorded, most.observed)]  # null in a report
    try:
        by = abs(float(sides[0]) - float(sides[1]))
        was, now = (value if isinstance(value, str) else f"{value:.6g}" for value in sides)
    except (TypeError, ValueError, OverflowError):
        return None
    return Moved(most.what, place(most).removeprefix(" of ").strip(), was, now, f"{by:.2g}")


def relabelled(found: Compared) -> list[tuple[str, str, str]]:
    """Return (what differs, was, now) for each label that differs; nothing if the output is a text."""
    if not found.differences or found.differences[0].stage != "labels":
        return []
    rows = [one for one in found.differences if one.stage == "labels"]
    return [(one.what, str(one.recorded), str(one.observed)) for one in rows]


def by_severity(tests: Iterable[TestResult]) -> list[TestResult]:
    """Return the tests, those with the gravest verdict first."""
    return sorted(tests, key=lambda test: severity(test.verdict))


def overview(tests: Iterable[TestResult]) -> list[tuple[str, str | None, int]]:
    """Return how many tests there are of each verdict (or `none`) and cause, the gravest and commonest first."""
    counts = Counter((test.verdict or "none", test.cause) for test in tests)
    rows = ((str(verdict), cause, count) for (verdict, cause), count in counts.items())
    return sorted(rows, key=lambda row: (severity(row[0]), -row[2], row[1] is None, row[1] or ""))


def _counts(test: TestResult) -> bool:
    """Return whether somebody should look at a test: it failed, or a near-tie was let through."""
    return test.failed or (test.outcome == "passed" and test.verdict == Verdict.NEAR_TIE)


def _versions(found: Compared) -> dict[str, tuple[str, str]]:
    sides: Sequence[dict[str, str]] = [one.provenance.versions for one in (found.recorded, found.observed) if one]
    return {name: (sides[0][name], sides[-1][name]) for name in sides[0] if name in sides[-1]}


def _size(drift: float | None) -> float:
    return -1.0 if drift is None else math.inf if math.isnan(drift) else drift
