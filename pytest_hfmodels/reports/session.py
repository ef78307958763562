"""The reporter: gathers what tests compared, on xdist's workers too, and writes the reports when the session ends.

`plugin` imports and registers it only where an option asks for a report; nobody else pays for it.
"""

from __future__ import annotations

import os
import platform
import re
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.errors import OptionError, SnapshotError
from pytest_hfmodels.files import write_report
from pytest_hfmodels.model_request import request_of, uses_models
from pytest_hfmodels.options import Options
from pytest_hfmodels.reports import patch_session
from pytest_hfmodels.reports.patch import patch_of
from pytest_hfmodels.reports.results import (
    FORMAT,
    Compared,
    Outcome,
    Results,
    Run,
    TestResult,
    count_verdicts,
    dump,
    read,
)
from pytest_hfmodels.snapshots.pending import pending_folder, read_pending
from pytest_hfmodels.stash import COMPARED, SNAPSHOT
from pytest_hfmodels.verdicts import Verdict, severity

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_hfmodels.snapshots.pending import Pending

# Outputs depend on these. Nothing else of the machine goes into a report, the environment variables least of all.
PACKAGES = (
    *("pytest-hfmodels", "pytest", "pytest-xdist", "syrupy"),
    *("transformers", "tokenizers", "torch", "tensorflow", "tf-keras", "numpy", "safetensors", "huggingface-hub"),
)
_ATTACHED = "hfmodels"  # name of the attribute of reports; pytest serialises what it does not know
_HEADLINE = 300
_DETAILS = 4000


def register(config: pytest.Config) -> None:
    """Let the options' reports be written.

    Raises:
        OptionError: one of them cannot be, and a run would be for nothing.
    """
    options = Options.of(config)
    if options.html is not None and pending_folder(config) is not None:
        patch_session.attach(config)  # the page offers it
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Observer(config), "hfmodels-observer")
        return
    if options.html is not None and find_spec("jinja2") is None:
        raise OptionError(
            "--hfmodels-html needs jinja2, which is not installed.",
            hint='Install it: python -m pip install "pytest-hfmodels[versions]"',
        )
    for kind, file in options.reports.items():
        if _place(config, file).is_dir():
            raise OptionError(f"--hfmodels-{kind} is {file}, which is a folder.", hint="Name a file.")
    config.pluginmanager.register(Reporter(config), "hfmodels-reporter")


class Observer:
    """Attaches to each report what its test compared, as plain data: pytest sends it along to an xdist controller."""

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say which tests are ours, and what they compared."""
        report = yield
        if uses_models(item):
            first = {"call": 0, "teardown": item.stash.get(COMPARED, 0)}.get(str(report.when))
            comparisons = [] if first is None else list(_comparisons(item, self._root))[first:]
            request = request_of(item)
            engine = comparisons[0]["observed_by"]["engine"] if request is None and comparisons else None
            report.__dict__[_ATTACHED] = {
                "engine": engine if request is None else request.engine,
                "comparisons": comparisons,
            }
        return report


@dataclass
class _Test:
    """What has been told of a test so far."""

    report: pytest.TestReport
    outcome: Outcome = "passed"
    reason: str = ""
    details: str = ""
    ledger: str | None = None
    seconds: float = 0.0
    ours: bool = False
    engine: str | None = None
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)


class Reporter(Observer):
    """Gathers what all processes attached, and writes the reports."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._config = config
        self._began = time.time()
        self._tests: dict[str, _Test] = {}
        self._results: Results | None = None
        self._said: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather one phase of a test; a rerun's replace the first's."""
        if report.when == "setup" or report.nodeid not in self._tests:
            self._tests[report.nodeid] = _Test(report)
        test = self._tests[report.nodeid]
        test.seconds += report.duration
        test.ledger = next(
            (str(said) for name, said in report.user_properties if name == "hfmodels_ledger"), test.ledger
        )
        died = str(report.when) == "???"  # what xdist says of a test whose worker did: perhaps it was ours
        test.ours = test.ours or test.ledger is not None or died
        attached = report.__dict__.get(_ATTACHED)
        if attached is not None:
            test.ours = True
            test.engine = test.engine or attached["engine"]
            test.comparisons += attached["comparisons"]
        test.pending += patch_session.taken(report)
        _judge(test, report)

    @pytest.hookimpl(trylast=True)  # after xdist has heard the last of its workers
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write everything that was asked for, also of a run that was stopped."""
        if self._config.option.collectonly:
            return
        self._results = self._gather(session)
        for kind, file in Options.of(self._config).reports.items():
            self._write(kind, file, self._results)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the reports are, and annotate lines where GitHub listens."""
        if self._results is None:
            return
        terminalreporter.write_sep("-", "hfmodels reports")
        for line in self._said:
            terminalreporter.write_line(visible_line(line))
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from pytest_hfmodels.reports.annotations import commands

            for line in commands(self._results, prefix=_inside_checkout(self._root)):
                terminalreporter.write_line(line)

    def _gather(self, session: pytest.Session) -> Results:
        pending = _pending(self._config)
        lenient = Options.of(self._config).near_tie == "warn"
        ours = [_result(nodeid, test, pending, lenient=lenient) for nodeid, test in self._tests.items() if test.ours]
        tests = tuple(sorted(ours, key=lambda test: (test.file, test.line or 0, test.id)))
        others = Counter(test.outcome for test in self._tests.values() if not test.ours)
        run = Run(
            started=datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            seconds=round(time.time() - self._began, 2),
            exit_status=int(session.exitstatus),
            stopped=_stopped(session),
            versions=_versions(),
            verdicts=count_verdicts(tests),
            others=dict(sorted(others.items())),
        )
        return Results(FORMAT, run, tests)

    def _write(self, kind: str, file: str, results: Results) -> None:
        path = _place(self._config, file)
        text = self._page(results) if kind == "html" else _render(kind, results)
        try:
            write_report(path, _clean(text))
            self._said.append(f"{kind}: {file}")
        except OSError as error:
            self._said.append(f"--hfmodels-{kind}: {file} could not be written: {error.strerror or error}")
        summary = os.environ.get("GITHUB_STEP_SUMMARY", "")
        if kind == "markdown" and summary:
            self._append(Path(summary), text)

    def _page(self, results: Results) -> str:
        """Return the HTML page, with the last matrix of the project, and what would be accepted as a patch."""
        from pytest_hfmodels.reports.grid_html import grid_section
        from pytest_hfmodels.reports.html import render
        from pytest_hfmodels.versions.last_grid import last_grid

        found = last_grid(self._root, lambda text: self._said.append(f"html: {text}"))
        grid = None if found is None else grid_section(found[0], f"hfmodels matrix, {found[1]:%Y-%m-%d %H:%M} UTC")
        try:
            patch = patch_of([change for test in self._tests.values() for change in test.pending], self._root)
        except (SnapshotError, OSError):  # --hfmodels-patch says what is wrong
            patch = ""
        return render(results, grid=grid, patch=patch)

    def _append(self, summary: Path, text: str) -> None:
        from pytest_hfmodels.reports.markdown import MOST

        try:
            if summary.exists() and summary.stat().st_size + len(text.encode("utf-8", "backslashreplace")) >= MOST:
                self._said.append("the CI's step summary is full: nothing was added to it")
                return
            with summary.open("a", encoding="utf-8") as page:
                page.write(f"{_clean(text)}\n")
        except OSError as error:
            self._said.append(f"the CI's step summary could not be written: {error.strerror or error}")


def _render(kind: str, results: Results) -> str:
    if kind == "json":
        return dump(results)
    from pytest_hfmodels.reports.markdown import render as summary

    return summary(results)


def _comparisons(item: pytest.Item, root: Path) -> Iterator[dict[str, Any]]:
    outcomes = item.stash[SNAPSHOT].outcomes if SNAPSHOT in item.stash else ()
    if outcomes:
        from pytest_hfmodels.reports.summary import compared  # imports what the snapshot has imported already

        for outcome in outcomes:
            yield asdict(compared(outcome, root))


def _judge(test: _Test, report: pytest.TestReport) -> None:
    """Let one phase say what became of the test."""
    expected = getattr(report, "wasxfail", None)
    if report.failed:
        test.outcome = "failed" if report.when == "call" else "error"
        test.reason, test.details = _crash(report), _clean(str(report.longrepr))[-_DETAILS:]
    elif report.skipped:
        test.outcome = "skipped" if expected is None else "xfailed"
        test.reason = _first_line(_skip_reason(report) if expected is None else expected)
    elif expected is not None:
        test.outcome, test.reason = "xpassed", _first_line(expected)


def _result(nodeid: str, test: _Test, pending: dict[str, str], *, lenient: bool) -> TestResult:
    comparisons = tuple(_read(data, pending) for data in test.comparisons)
    gravest = min(comparisons, key=lambda found: severity(found.verdict), default=None)
    verdict = _verdict(test, gravest, lenient=lenient)
    spoken = gravest is not None and gravest.verdict == verdict
    file, line, _ = test.report.location
    return TestResult(
        id=_clean(nodeid),
        file=_clean(_posix(file)),
        line=None if line is None else line + 1,
        engine=test.engine,
        outcome=test.outcome,
        verdict=verdict,
        cause=gravest.cause if spoken and gravest is not None else None,
        headline=gravest.headline if spoken and gravest is not None and gravest.headline else test.reason,
        details=test.details if verdict == "broken" else "",
        ledger=test.ledger,
        seconds=round(test.seconds, 3),
        comparisons=comparisons,
    )


def _verdict(test: _Test, gravest: Compared | None, *, lenient: bool) -> Verdict | None:
    compared = None if gravest is None else gravest.verdict
    failed = test.outcome in ("failed", "error") or (test.outcome == "xfailed" and test.ledger is not None)
    if failed and (compared in (None, "same") or (compared == "near-tie" and lenient)):  # it failed otherwise
        return "broken"
    return compared


def _read(data: dict[str, Any], pending: dict[str, str]) -> Compared:
    found: Compared = read(Compared, data, "comparison")
    if found.verdict == "same":
        return found
    return replace(found, pending=pending.get(found.snapshot))


def _pending(config: pytest.Config) -> dict[str, str]:
    """Return the pending snapshots by the file that each was compared with."""
    folder = pending_folder(config)
    if folder is None or Options.of(config).baseline:
        return {}
    try:
        return {_clean(_posix(found.compared)): _clean(_posix(found.snapshot)) for found in read_pending(folder)}
    except SnapshotError:  # `hfmodels pending` says what is wrong with it
        return {}


def _posix(path: str) -> str:
    return PurePath(path).as_posix()


def _crash(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash is not None else str(report.longrepr)
    return re.sub(r"^pytest_hfmodels\.errors\.\w+: ", "", _first_line(said))  # a sentence already


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in _clean(text).splitlines() if line.strip()]
    return lines[0][:_HEADLINE] if lines else ""


def _clean(text: str) -> str:
    """Return text that UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _stopped(session: pytest.Session) -> str | None:
    reasons = {pytest.ExitCode.INTERRUPTED: "interrupted", pytest.ExitCode.INTERNAL_ERROR: "an internal error"}
    early = session.shouldfail or session.shouldstop
    if isinstance(early, str):
        return _first_line(early)
    return reasons.get(pytest.ExitCode(session.exitstatus)) if session.exitstatus in set(pytest.ExitCode) else None


def _versions() -> dict[str, str]:
    found = {package: version for package in PACKAGES if (version := installed(package)) is not None}
    return {"python": platform.python_version(), **found}


def _place(config: pytest.Config, file: str) -> Path:
    return Path(config.invocation_params.dir, Path(os.path.expandvars(file)).expanduser())


def _inside_checkout(root: Path) -> str:
    """Return where the project lies inside of the checkout that GitHub shows files of."""
    checkout = os.environ.get("GITHUB_WORKSPACE", "")
    if checkout and root.is_relative_to(checkout):
        return root.relative_to(checkout).as_posix()
    return "."
