"""What a run's reports are made from: frozen dataclasses, and the one JSON format that all of them share.

Plain data in and out, so that xdist's workers can send it and every report says the same. docs/reports.md tells each
field; whoever changes one raises FORMAT.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pytest_hfmodels.errors import HFModelsError
from pytest_hfmodels.verdicts import BY_SEVERITY, Verdict

FORMAT = 3
VERDICTS = BY_SEVERITY

_FIGURE = float | None

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]


class ReportError(HFModelsError):
    """A report that cannot be read."""


@dataclass(frozen=True)
class Excerpt:
    """A text, or of a long one the part around where it differs.

    Args:
        text: as it is, control characters and all.
        start: characters left out before it.
        length: characters of the whole.
    """

    text: str
    start: int
    length: int

    @property
    def end(self) -> int:
        """Characters left out after it."""
        return self.length - self.start - len(self.text)


@dataclass(frozen=True)
class Token:
    """A generated token and its figures; None for a figure that is not finite."""

    id: int
    text: str
    log_probability: float | None
    margin: float | None


@dataclass(frozen=True)
class TokenPair:
    """The tokens of both sides at one position; None where a side has ended."""

    position: int
    recorded: Token | None
    observed: Token | None


@dataclass(frozen=True)
class Steps:
    """Figures along the output.

    Args:
        unit: what a step is, such as a generated `token` or an `input` of a classifier.
        start: the first step that the lists tell of.
        count: steps of the recorded side.
        divergence: the first token that differs, or None.
        recorded_margin: of the recorded side, a step each.
        observed_margin: of the observed side.
        drift: how far the step's numbers moved; it ends where the sides diverge.
    """

    unit: str
    start: int
    count: int
    divergence: int | None
    recorded_margin: tuple[float | None, ...]
    observed_margin: tuple[float | None, ...]
    drift: tuple[float | None, ...]


@dataclass(frozen=True)
class ProvenanceView:
    """What made one side: its provenance, and the checkpoint with a digest a part."""

    engine: str
    implementation: str
    dtype: str
    attention: str
    device: str
    cpu: str
    versions: dict[str, str]
    checkpoint: str
    origin: str
    revision: str | None
    weights: str
    config: str
    tokenizer: str


@dataclass(frozen=True)
class Evidence:
    """One thing that a cause rests on: a sentence, and its figures by name; None for one that is not finite."""

    what: str
    figures: dict[str, float | None]


@dataclass(frozen=True)
class Ablation:
    """One thing that was exchanged to find the cause: movement before and after, and whether that ended it."""

    what: str
    before: float | None
    after: float | None
    returns: bool


@dataclass(frozen=True)
class Difference:
    """One thing that differs, as `snapshots.compare` found it, its values in words."""

    stage: str
    what: str
    position: int | None
    recorded: str
    observed: str


@dataclass(frozen=True)
class Compared:
    """One comparison of a test with a snapshot.

    Args:
        snapshot: the file that it was compared with, relative to the project's root.
        verdict: what the comparison said.
        cause: why it differs, where that is known.
        why: the same in a sentence, or why it is not known; None where nothing was to be explained.
        block: the first part of the model whose output differs, or None: see docs/explain.md.
        evidence: what the cause rests on, the weightiest first.
        ablations: what was exchanged to find it, in turn.
        suggests: commands that would tell more.
        headline: the verdict in a sentence; empty for `same`.
        drift: the largest movement of a number, the first recorded token that differs included; None where there are
            none to compare.
        tolerance: how far they may move, absolutely.
        ledger: the entry that put a variant in force, or None.
        base: what the comparison with the base said, where a variant stood for it.
        notes: worth saying, failing nothing.
        differences: the first names the stage to look at.
        shows: what the two texts are: `text`, `returned beam 2`, `labels`.
        recorded: text of the snapshot, or None where there is no file.
        observed: text of this run.
        tokens: around the divergence.
        steps: margin and drift, step by step.
        recorded_by: what made the snapshot.
        observed_by: what made this run's.
        pending: the snapshot that `hfmodels accept` would write, or None.
        writer: the test that `hfmodels accept` and `--snapshot-update` take.
    """

    snapshot: str
    verdict: Verdict
    cause: str | None
    why: str | None
    block: str | None
    evidence: tuple[Evidence, ...]
    ablations: tuple[Ablation, ...]
    suggests: tuple[str, ...]
    headline: str
    drift: float | None
    tolerance: float
    ledger: str | None
    base: Verdict | None
    notes: tuple[str, ...]
    differences: tuple[Difference, ...]
    shows: str
    recorded: Excerpt | None
    observed: Excerpt
    tokens: tuple[TokenPair, ...]
    steps: Steps
    recorded_by: ProvenanceView | None
    observed_by: ProvenanceView
    pending: str | None
    writer: str


@dataclass(frozen=True)
class TestResult:
    """One test that uses a model, a snapshot or a ledger entry.

    Args:
        id: its node id.
        file: relative to the project's root.
        line: of the test, from 1, or None where pytest does not know it.
        engine: that it ran on, or None.
        outcome: what pytest made of it.
        verdict: of its most serious comparison; `broken` if it failed for another reason; None if it compared nothing.
        cause: of the gravest comparison.
        headline: why it is not the same, in a line.
        details: what pytest printed of a broken test.
        ledger: the entry that decided about it, or None.
        seconds: what it took, with its fixtures.
        comparisons: in the order in which the test made them.
    """

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
    ledger: str | None
    seconds: float
    comparisons: tuple[Compared, ...]

    @property
    def failed(self) -> bool:
        """Whether the test turned the run red."""
        return self.outcome in ("failed", "error")


@dataclass(frozen=True)
class Run:
    """What is true of the run as a whole.

    Args:
        started: in UTC, ISO 8601, to the second.
        seconds: what it took.
        exit_status: pytest's.
        stopped: why it ended early, or None.
        versions: of the packages that outputs depend on, and of nothing else.
        verdicts: how many tests of each; the gravest first.
        others: outcomes of the tests that are no affair of ours.
    """

    started: str
    seconds: float
    exit_status: int
    stopped: str | None
    versions: dict[str, str]
    verdicts: dict[str, int]
    others: dict[str, int]


@dataclass(frozen=True)
class Results:
    """A whole report."""

    format: int
    run: Run
    tests: tuple[TestResult, ...]


def count_verdicts(tests: tuple[TestResult, ...]) -> dict[str, int]:
    """Return how many tests there are of each verdict that occurs, the gravest first; `none` last."""
    counted: Counter[str] = Counter(test.verdict or "none" for test in tests)
    return {verdict: counted[verdict] for verdict in (*VERDICTS, "none") if counted[verdict]}


def dump(results: Results) -> str:
    """Return the JSON file's text, a test a line."""
    tests = ",".join(f"\n{_line(test)}" for test in results.tests)
    return f'{{"format": {results.format},\n"run": {_line(results.run)},\n"tests": [{tests}\n]}}\n'


def _line(part: Run | TestResult) -> str:
    return json.dumps(asdict(part), ensure_ascii=False, allow_nan=False)


def load(text: str) -> Results:
    """Return what `dump` was given.

    Raises:
        ReportError: it is of another format version, or no report.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise _misfit("the file", f"it is no JSON ({error})") from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise ReportError(
            f"The report has the format {found!r}; this release reads {FORMAT}.",
            hint="Write it anew with --hfmodels-json, or read it with the release that wrote it.",
        )
    results = read(Results, data)
    assert isinstance(results, Results), "that is what was asked for"
    return results


def read(kind: Any, data: Any, where: str = "report") -> Any:
    """Return plain data as one of this module's dataclasses, checking every field.

    Args:
        kind: the dataclass, or a type of one of its fields.
        data: what `dataclasses.asdict` made, perhaps by way of JSON.
        where: what `data` is a part of, for messages.

    Raises:
        ReportError: something is missing, too much or of another type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _read_fields(kind, data, where)
    if origin in (Union, UnionType):
        one = next(argument for argument in arguments if argument is not NoneType)
        return None if data is None else read(one, data, where)
    if origin is tuple and isinstance(data, list | tuple):
        if arguments[0] == _FIGURE and all(type(value) is float for value in data):
            return tuple(data)  # most of a report is lists of figures
        return tuple(read(arguments[0], value, f"{where}[{index}]") for index, value in enumerate(data))
    if origin is dict and isinstance(data, dict):
        return {str(key): read(arguments[1], value, f"{where}.{key}") for key, value in data.items()}
    if origin is Literal and data in arguments:
        return data
    fits = origin is None and isinstance(data, (int, float) if kind is float else kind)
    if fits and isinstance(data, bool) == (kind is bool):
        return data
    raise _misfit(where, f"{data!r:.60} does not fit")


def _read_fields(kind: Any, data: Any, where: str) -> Any:
    types = _types(kind)
    if not isinstance(data, dict) or data.keys() != types.keys():
        odd = sorted(map(str, types.keys() ^ data.keys())) if isinstance(data, dict) else ["everything"]
        raise _misfit(where, f"missing or unknown: {', '.join(odd)}")
    return kind(**{name: read(types[name], value, f"{where}.{name}") for name, value in data.items()})


@cache
def _types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _misfit(where: str, what: str) -> ReportError:
    return ReportError(f"This is no report: {where}: {what}.", hint="--hfmodels-json writes one.")
