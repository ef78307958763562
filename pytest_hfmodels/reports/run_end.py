"""What a run says at its end: what the ledger decided, the causes that tests share, and how to decide what changed."""

from __future__ import annotations

from os.path import relpath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.foundation.shell import command
from pytest_hfmodels.reports.causes import causes
from pytest_hfmodels.reports.colours import paint
from pytest_hfmodels.reports.patch import offer
from pytest_hfmodels.session import Session
from pytest_hfmodels.snapshots.pending import pending_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from pytest_hfmodels.results.model import TestResult


def colorize(config: pytest.Config, results: Sequence[TestResult]) -> None:
    """Colour the lines of mismatches that pytest is about to print; every other report has been told by now."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and terminal.hasmarkup:
        differing = {test.id for test in results if any(found.waits for found in test.comparisons)}
        reports = [report for report in terminal.getreports("failed") if report.nodeid in differing]
        paint(reports, config.get_terminal_writer().markup)


def end_lines(config: pytest.Config, results: Sequence[TestResult]) -> Iterator[str]:
    """Yield the lines."""
    if config.pluginmanager.has_plugin("dsession"):  # xdist's controller collects no tests, so its header has no counts
        yield from _ledger_lines(results)
    waiting = [test for test in results if test.failed and any(found.waits for found in test.comparisons)]
    yield from causes(waiting)
    if waiting and not Session.of(config).options.baseline:
        yield from _to_review(config, waiting)


def _ledger_lines(results: Sequence[TestResult]) -> Iterator[str]:
    said = []
    for outcome, words in (("xfailed", "expected to fail"), ("skipped", "skipped")):
        count = sum(test.outcome == outcome and test.entry is not None for test in results)
        if count:
            said.append(f"{count} test{'' if count == 1 else 's'} {words}")
    if said:
        yield f"hfmodels ledger: {', '.join(said)}"


def _to_review(config: pytest.Config, waiting: Sequence[TestResult]) -> Iterator[str]:
    folder = pending_folder(config)
    if folder is None:
        return
    said = f"{len(waiting)} {'test' if len(waiting) == 1 else 'tests'} to review: "
    unsaved = [one.pending for test in waiting for one in test.comparisons if one.pending is not None and not one.saved]
    if unsaved:
        asked = Session.of(config).options.patch is not None
        yield said + offer(unsaved, len(waiting), folder.path, config.rootpath, asked=asked)
    elif folder.read():  # else a repetition of the test has passed since
        is_found = project_root(config.invocation_params.dir) == config.rootpath
        there = "" if is_found else f" (after {command('cd', relpath(config.rootpath))})"
        yield f"{said}hfmodels review; or accept all of them: hfmodels accept{there}"
