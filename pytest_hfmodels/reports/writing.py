"""Writes the reports that options ask for, when the session ends: each a view of the same results.

`plugin` registers it only where an option asks for a report; nobody else pays for it.
"""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.engines.availability import installed
from pytest_hfmodels.foundation.control_chars import visible
from pytest_hfmodels.foundation.errors import OptionError, SnapshotError
from pytest_hfmodels.foundation.files import expanded, write_report
from pytest_hfmodels.reports import html, markdown
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.reports.ci import workflow_commands
from pytest_hfmodels.reports.diff import apply_command, patch_of
from pytest_hfmodels.reports.grid_pages import grid_section
from pytest_hfmodels.results.carried import pending_of
from pytest_hfmodels.results.gather import first_line
from pytest_hfmodels.results.model import FORMAT, Results, Run, clean, count_verdicts, dump
from pytest_hfmodels.results.source import source_of
from pytest_hfmodels.session import Session
from pytest_hfmodels.versions.last_grid import last_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_hfmodels.results.gather import Gatherer
    from pytest_hfmodels.results.pending import Pending

# Outputs depend on these. Nothing else of the machine goes into a report, and of the environment only what
# `results.source` names.
PACKAGES = (
    *("pytest-hfmodels", "pytest", "pytest-xdist", "syrupy"),
    *("transformers", "tokenizers", "torch", "tensorflow", "tf-keras", "numpy", "safetensors", "huggingface-hub"),
)
_NAMED = 3  # tests in which a run ended
_STEP = 1024 * 1024  # bytes: GitHub takes no more of summary a step, and shows none of a larger one


class ReportWriter:
    """Writes what was asked for.

    Args:
        config: of the run.
        gatherer: of all tests of the run.

    Raises:
        OptionError: one of the reports cannot be written, and a run would be for nothing.
    """

    def __init__(self, config: pytest.Config, gatherer: Gatherer) -> None:
        self._config, self._gatherer = config, gatherer
        self._began = time.time()
        self._results: Results | None = None
        self._said: list[str] = []
        for kind, file in Session.of(config).options.reports.items():
            if self._path(file).is_dir():
                raise OptionError(f"--hfmodels-{kind} is {file}, which is a folder.", hint="Name a file.")

    @pytest.hookimpl(trylast=True)  # after xdist has heard the last of its workers
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write everything that was asked for, also of a run that was stopped."""
        if self._config.option.collectonly:
            return
        self._results = self._gather(session)
        for kind, file in Session.of(self._config).options.reports.items():
            try:
                self._write(kind, file, self._results)
            except SnapshotError as error:
                self._said.append(f"--hfmodels-{kind}: {error}")
            except OSError as error:
                self._said.append(f"--hfmodels-{kind}: {file} could not be written: {error.strerror or error}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the reports are, and annotate lines where GitHub listens."""
        if self._results is None:
            return
        terminalreporter.write_sep("-", "hfmodels reports")
        for line in self._said:
            terminalreporter.write_line(visible(line))
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in workflow_commands(self._results, prefix=_inside_checkout(self._config.rootpath)):
                terminalreporter.write_line(line)

    def _gather(self, session: pytest.Session) -> Results:
        tests = tuple(sorted(self._gatherer.results(), key=lambda test: test.place))
        run = Run(
            started=datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            seconds=round(time.time() - self._began, 2),
            exit_status=int(session.exitstatus),
            stopped=_stopped(session, self._gatherer.interrupted()),
            versions=_versions(),
            verdicts=count_verdicts(tests),
            others=self._gatherer.others(),
            source=source_of(),
            page=self._page_file(),
        )
        return Results(FORMAT, run, tests)

    def _write(self, kind: str, file: str, results: Results) -> None:
        if kind == "patch":
            write_report(self._path(file), patch_of(pending_of(results), self._config.rootpath))
            self._said.append(_patch_line(file, list(pending_of(results)), self._config.rootpath))
            return
        render: dict[str, Callable[[Results], str]] = {"json": dump, "html": self._page, "markdown": markdown.render}
        text = clean(render[kind](results))
        write_report(self._path(file), text)
        self._said.append(f"{kind}: {file}")
        if kind == "markdown" and (summary := os.environ.get("GITHUB_STEP_SUMMARY", "")):
            self._append(Path(summary), text)

    def _page_file(self) -> str:
        """Return the name of the file with all changes, the page or else the JSON: for commands at home."""
        reports = Session.of(self._config).options.reports
        file = reports.get("html") or reports.get("json") or ""
        return Path(file).name

    def _page(self, results: Results) -> str:
        """Return the HTML page, with the last matrix of the project, and what would be accepted as a patch."""
        found = last_grid(self._config.rootpath, lambda text: self._said.append(f"html: {text}"))
        grid = None if found is None else grid_section(found[0], f"hfmodels matrix, {found[1]:%Y-%m-%d %H:%M} UTC")
        try:
            patch = patch_of(pending_of(results), self._config.rootpath)
        except (SnapshotError, OSError):  # --hfmodels-patch says what is wrong
            patch = ""
        return html.render(results, grid=grid, patch=patch)

    def _append(self, summary: Path, text: str) -> None:
        """Append to the step summary: GitHub shows nothing of one that is too large."""
        try:
            if summary.exists() and summary.stat().st_size + len(text.encode()) >= _STEP:
                self._said.append("the CI's step summary is full: nothing was added to it")
                return
            with summary.open("a", encoding="utf-8") as page:
                page.write(f"{text}\n")
        except OSError as error:
            self._said.append(f"the CI's step summary could not be written: {error.strerror or error}")

    def _path(self, file: str) -> Path:
        return Path(self._config.invocation_params.dir, expanded(os.path.expandvars(file)))


def _patch_line(file: str, pending: list[Pending], root: Path) -> str:
    refused = [one.not_in_a_patch for one in pending if one.not_in_a_patch is not None]
    written = len(pending) - len(refused)
    left_out = f"; {len(refused)} left out: {'; '.join(dict.fromkeys(refused))}"
    told = f"patch of {counted(written, 'snapshot')}: {file}"
    if written:
        told += f" (apply it: {apply_command(file, root)})"
    return f"{told}{left_out if written < len(pending) else ''}"


def _stopped(session: pytest.Session, unfinished: Sequence[str]) -> str | None:
    """Return why a run ended early, and in which tests; None if it did not."""
    reason = _reason(session)
    if not unfinished:
        return reason
    return f"{reason or 'ended'} during {', '.join(unfinished[:_NAMED])}"


def _reason(session: pytest.Session) -> str | None:
    reasons = {pytest.ExitCode.INTERRUPTED: "interrupted", pytest.ExitCode.INTERNAL_ERROR: "an internal error"}
    early = session.shouldfail or session.shouldstop
    if isinstance(early, str):
        return first_line(early)
    return reasons.get(pytest.ExitCode(session.exitstatus)) if session.exitstatus in set(pytest.ExitCode) else None


def _versions() -> dict[str, str]:
    found = {package: version for package in PACKAGES if (version := installed(package)) is not None}
    return {"python": platform.python_version(), **found}


def _inside_checkout(root: Path) -> str:
    """Return where the project lies inside of the checkout that GitHub shows files of."""
    checkout = os.environ.get("GITHUB_WORKSPACE", "")
    if checkout and root.is_relative_to(checkout):
        return root.relative_to(checkout).as_posix()
    return "."
