"""Gathers the results of tests from pytest's reports: in one process, and from the workers of xdist."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.durations import STAGES, measured
from pytest_hfmodels.foundation.model_request import request_of
from pytest_hfmodels.foundation.verdicts import Verdict, severity
from pytest_hfmodels.results.model import Compared, Outcome, PhaseResult, TestResult, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

_ATTRIBUTE = "hfmodels"  # of reports; pytest sends what it does not know along to an xdist controller
_HEADLINE = 300  # characters
_DETAILS = 6000


def attach(
    report: pytest.TestReport,
    item: pytest.Item,
    comparisons: Iterable[Compared],
    *,
    entry: str | None,
    raises: str | None,
) -> None:
    """Attach to a report what its phase adds to the test's result.

    Args:
        report: of the phase.
        item: the test.
        comparisons: made since the phase before.
        entry: the ledger entry that decided the outcome, or None.
        raises: the class of the exception that failed the phase; None if it did not fail.
    """
    request, made = request_of(item), tuple(comparisons)
    engine = request.engine if request is not None else made[0].observed.provenance.engine if made else None
    report.__dict__[_ATTRIBUTE] = encode(PhaseResult(engine, entry, raises, made, measured()))


@dataclass
class _Test:
    """The reports of a test so far."""

    report: pytest.TestReport
    outcome: Outcome = "passed"
    reason: str = ""
    details: str = ""
    failed_in: str | None = None
    seconds: float = 0.0
    ours: bool = False
    over: bool = False
    phases: list[PhaseResult] = field(default_factory=list)

    def add(self, report: pytest.TestReport) -> None:
        died = str(report.when) == "???"  # what xdist says of a test whose worker died: perhaps it was ours
        attached = report.__dict__.get(_ATTRIBUTE)
        self.seconds += report.duration
        self.ours = self.ours or died or attached is not None
        self.over = self.over or died or report.when == "teardown"
        if attached is not None:
            self.phases.append(decode(attached, PhaseResult, f"The result of {report.nodeid}"))
        expected = getattr(report, "wasxfail", None)
        if self.outcome in ("failed", "error"):  # the first failure says most
            return
        if report.failed:
            self.outcome = "failed" if report.when == "call" else "error"
            self.reason, self.details = _crash(report), _details(report)
            self.failed_in = None if died else report.when
        elif report.skipped:
            self.outcome = "skipped" if expected is None else "xfailed"
            self.reason = first_line(_skip_reason(report) if expected is None else expected)
        elif expected is not None:
            self.outcome, self.reason = "xpassed", first_line(expected)

    @property
    def counts(self) -> bool:
        """Whether its outcome is known: it ran to its end, or it failed before."""
        return self.over or self.outcome in ("failed", "error")

    def result(self) -> TestResult:
        comparisons = tuple(found for phase in self.phases for found in phase.comparisons)
        shown = min(comparisons, key=lambda found: severity(found.verdict), default=None)
        verdict = None if shown is None else shown.verdict
        if self._is_broken(comparisons) and verdict is not Verdict.BROKEN:
            shown, verdict = None, Verdict.BROKEN
        file, line, _ = self.report.location
        spent = sum((Counter(phase.durations) for phase in self.phases), Counter[str]())
        return TestResult(
            id=self.report.nodeid,
            file=PurePath(file).as_posix(),
            line=None if line is None else line + 1,
            engine=self._last("engine"),
            outcome=self.outcome,
            verdict=verdict,
            cause=None if shown is None else shown.cause,
            headline=("" if shown is None else shown.headline) or self.reason,
            details=self.details,
            raises=next((phase.raises for phase in self.phases if phase.raises is not None), None),
            failed_in=self.failed_in,
            entry=self._last("entry"),
            seconds=round(self.seconds, 3),
            comparisons=comparisons,
            durations={name: round(spent[name], 3) for name in STAGES if name in spent},
        )

    def _is_broken(self, comparisons: Sequence[Compared]) -> bool:
        """Return whether it failed for another reason than a comparison."""
        failed = self.outcome in ("failed", "error") or (self.outcome == "xfailed" and self._last("entry") is not None)
        return failed and all(found.equal for found in comparisons)

    def _last(self, name: str) -> Any:
        values = [value for phase in self.phases if (value := getattr(phase, name)) is not None]
        return values[-1] if values else None


class Gatherer:
    """The results of the tests whose reports it has seen; of a test that ran again, those of the last run."""

    def __init__(self) -> None:
        self._tests: dict[str, _Test] = {}

    def add(self, report: pytest.TestReport) -> None:
        """Add one phase of a test."""
        if report.when == "setup" or report.nodeid not in self._tests:
            self._tests[report.nodeid] = _Test(report)
        self._tests[report.nodeid].add(report)

    def results(self) -> list[TestResult]:
        """Return the results of the tests that use this plugin, in the order in which they began.

        A test that was interrupted has none.
        """
        return [test.result() for test in self._tests.values() if test.ours and test.counts]

    def interrupted(self) -> list[str]:
        """Return the node ids of the tests that began and did not end."""
        return [nodeid for nodeid, test in self._tests.items() if not test.counts]

    def result(self, nodeid: str) -> TestResult | None:
        """Return the result of one test so far, of whatever sort it is; None if no report of it has come."""
        return self._tests[nodeid].result() if nodeid in self._tests else None

    def others(self) -> dict[str, int]:
        """Return the outcomes of the other tests."""
        return dict(
            sorted(Counter(test.outcome for test in self._tests.values() if test.counts and not test.ours).items())
        )


def first_line(text: str) -> str:
    """Return the first line of a message, cut to what a reader wants of it."""
    return next((line.strip()[:_HEADLINE] for line in text.splitlines() if line.strip()), "")


def reason_of(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return why a report failed or was skipped, in a line."""
    return first_line(_skip_reason(report)) if report.skipped else _crash(report)


def _crash(report: pytest.CollectReport | pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash is not None else str(report.longrepr)
    said = re.sub(r"^([\w.]+):\s*\n\s*", r"\1: ", said)  # NumPy's assertions begin with an empty line
    errors = re.findall(r"^E\s+(.*)", said, flags=re.MULTILINE)  # of a text that pytest has laid out
    return re.sub(r"^pytest_hfmodels(\.foundation\.errors)?\.\w+: ", "", first_line(errors[-1] if errors else said))


def _details(report: pytest.TestReport) -> str:
    text = "\n".join([str(report.longrepr), *(text for title, text in report.sections if title == "hfmodels")])
    return text[-_DETAILS:]


def _skip_reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)
