"""The result of a test, of its comparisons and of a run: plain data that every report is a view of.

docs/reports.md describes each field. Whoever adds, removes or changes one raises FORMAT.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.foundation.verdicts import BY_SEVERITY, Verdict, severity
from pytest_hfmodels.kinds.base import Course
from pytest_hfmodels.kinds.comparison import Difference
from pytest_hfmodels.kinds.explanation import Explanation, in_words
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance
from pytest_hfmodels.results.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 7

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]
T = TypeVar("T")


class ReportError(HFModelsError):
    """A report that cannot be read."""


@dataclass(frozen=True)
class Excerpt:
    """A text, or the part of a long one around the first difference; control characters and all.

    Args:
        text: what is shown.
        start: characters left out before it.
        length: characters of the full text.
        given: characters at the start of `text` that the test gave (the prompt).
    """

    text: str
    start: int
    length: int
    given: int = 0

    @property
    def end(self) -> int:
        """Characters left out after it."""
        return self.length - self.start - len(self.text)


@dataclass(frozen=True)
class Side:
    """The recorded or the observed side of a comparison."""

    text: Excerpt
    provenance: Provenance
    checkpoint: CheckpointSeen


@dataclass(frozen=True)
class Compared:
    """One comparison of a test with a snapshot."""

    snapshot: str
    verdict: Verdict
    equal: bool
    headline: str
    differences: tuple[Difference, ...]
    hidden: int
    explanation: Explanation | None
    drift: float | None
    before: float | None
    tolerance: float
    notes: tuple[str, ...]
    entry: str | None
    base: Verdict | None
    shows: str
    recorded: Side | None
    observed: Side
    course: Course | None
    changed: int
    writer: str
    refusal: str | None = None
    largest: Difference | None = None
    pending: Pending | None = None
    saved: bool = False

    @property
    def cause(self) -> str | None:
        """Why it differs, where that is known."""
        return None if self.explanation is None else self.explanation.cause

    @property
    def reason(self) -> str:
        """The cause, where it is known, and what differs first."""
        return self.headline if self.cause is None else f"{in_words(self.cause)}: {self.headline}"

    @property
    def phrase(self) -> str:
        """How likely both candidates are at the first token that differs, where that is known."""
        first = next(iter(self.differences), None)
        figures = first.detail.figures if first is not None and first.stage == "ids" and first.detail else ()
        return figures[0] if figures else ""

    @property
    def waits(self) -> bool:
        """Whether somebody has to decide about it: it differs, and not only because a variant fits worse."""
        return self.verdict is not Verdict.SAME and self.base is not Verdict.SAME


@dataclass(frozen=True)
class PhaseResult:
    """What one phase of a test adds to its result; attached to pytest's report of that phase."""

    engine: str | None = None
    entry: str | None = None
    raises: str | None = None
    comparisons: tuple[Compared, ...] = ()
    durations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TestResult:
    """One test that uses a model, a snapshot or a ledger entry."""

    __test__ = False  # pytest would collect it where somebody imports it

    id: str
    file: str
    line: int | None
    engine: str | None
    outcome: Outcome
    verdict: Verdict | None
    cause: str | None
    headline: str
    details: str
    raises: str | None
    failed_in: str | None
    entry: str | None
    seconds: float
    comparisons: tuple[Compared, ...]
    durations: dict[str, float] = field(default_factory=dict)  # seconds by stage, see `foundation.durations`

    @property
    def failed(self) -> bool:
        """Whether the test turned the run red."""
        return self.outcome in ("failed", "error")

    @property
    def place(self) -> tuple[str, int, str]:
        """Its place in the files, to sort by."""
        return self.file, self.line or 0, self.id

    @property
    def base(self) -> Verdict | None:
        """The most serious verdict against a base for which a variant stood, or None."""
        found = [compared.base for compared in self.comparisons if compared.base is not None]
        return min(found, key=severity, default=None)

    @property
    def gravest(self) -> Compared | None:
        """Its most serious comparison."""
        return min(self.comparisons, key=lambda found: severity(found.verdict), default=None)


@dataclass(frozen=True)
class Source:
    """What a CI says about the commit that it tests. Addresses begin with https://; an empty one is unknown."""

    commit: str = ""
    branch: str = ""
    change: str = ""
    job: str = ""
    repository: str = ""
    change_url: str = ""
    job_url: str = ""
    run: str = ""


@dataclass(frozen=True)
class Run:
    """What is true of the run as a whole."""

    started: str
    seconds: float
    exit_status: int
    stopped: str | None
    versions: dict[str, str]
    verdicts: dict[str, int]
    others: dict[str, int]
    source: Source | None = None
    page: str = ""


@dataclass(frozen=True)
class Results:
    """A whole report."""

    format: int
    run: Run
    tests: tuple[TestResult, ...]


def cut(text: str, size: int) -> str:
    """Return a text of at most `size` characters; a longer one ends with `…`."""
    return text if len(text) <= size else f"{text[: size - 1]}…"


def count_verdicts(tests: Iterable[TestResult]) -> dict[str, int]:
    """Return how many tests there are of each verdict that occurs, the gravest first; `none` last."""
    counted: Counter[str] = Counter(test.verdict or "none" for test in tests)
    return {verdict: counted[verdict] for verdict in (*map(str, BY_SEVERITY), "none") if counted[verdict]}


def encode(result: Any) -> str:
    """Return any of these as Python's JSON, for another process: in ASCII, as a pending text may hold half a surrogate.

    A figure that is not finite stays what it is, which strict JSON cannot say.
    """
    import msgspec  # only a run with models pays for it

    return json.dumps(msgspec.to_builtins(result))


def decode(text: str | bytes, kind: type[T], where: str = "The report") -> T:
    """Return what `encode` was given; `where` names what is read, for messages.

    Raises:
        ReportError: it is no JSON, or not of this class.
    """
    import msgspec

    try:
        return msgspec.convert(json.loads(text), kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors name the field, and are ValueErrors
        raise ReportError(f"{where} cannot be read: {error}.", hint="Write it again: --hfmodels-json FILE") from error


def read_results(text: str | bytes, where: str) -> Results:
    """Return the results of a JSON report; `where` names it, for messages.

    Raises:
        ReportError: it is not a report, or has another format.
    """
    data = decode(text, dict[str, Any], where)
    if "rows" in data:
        hint = f"Show it: {command('hfmodels', 'merge', operand(where))}"
        raise ReportError(f"{where} is the grid of a matrix, not the report of a run.", hint=hint)
    found = data.get("format")
    if found != FORMAT:
        raise ReportError(
            f"{where} is a report of format {found!r:.20}; this release reads format {FORMAT}.",
            hint="Run the tests with the same release of pytest-hfmodels.",
        )
    return decode(text, Results, where)


def dump(results: Results) -> str:
    """Return the JSON file's text, a test a line; a figure that is not finite is null."""
    tests = ",".join(f"\n{_line(test)}" for test in results.tests)
    return f'{{"format": {results.format},\n"run": {_line(results.run)},\n"tests": [{tests}\n]}}\n'


def _line(part: Run | TestResult) -> str:
    import msgspec

    return clean(json.dumps(finite(msgspec.to_builtins(part)), ensure_ascii=False, allow_nan=False))


def clean(text: str) -> str:
    """Return text that UTF-8 can hold: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def finite(value: Any) -> Any:
    """Return plain data for strict JSON: a figure that is not finite is None."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
