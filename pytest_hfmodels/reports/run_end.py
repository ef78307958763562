"""What a run says at its end: what the ledger decided, the summary, and how to decide what changed."""

from __future__ import annotations

from collections import Counter
from os.path import relpath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.durations import STAGES
from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.foundation.shell import command
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.reports.colours import paint
from pytest_hfmodels.reports.summary import Summary
from pytest_hfmodels.reports.summary_lines import summary_lines
from pytest_hfmodels.session import Session
from pytest_hfmodels.snapshots.pending import pending_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from pytest_hfmodels.results.model import TestResult


def colorize(config: pytest.Config, results: Sequence[TestResult]) -> None:
    """Colour the lines of mismatches that pytest is about to print; every other report is written by now."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and terminal.hasmarkup:
        differing = {test.id for test in results if any(found.waits for found in test.comparisons)}
        paint(report for report in terminal.getreports("failed") if report.nodeid in differing)


def end_lines(config: pytest.Config, results: Sequence[TestResult]) -> Iterator[str]:
    """Yield the lines."""
    if config.pluginmanager.has_plugin("dsession"):  # xdist's controller collects no tests, so its header has no counts
        yield from _ledger_line(results)
    waiting = [test for test in results if test.failed and any(found.waits for found in test.comparisons)]
    yield from summary_lines(Summary(tuple(results)))
    if Session.of(config).options.durations:
        yield _durations_line(results)
    if waiting and not Session.of(config).options.baseline:
        yield from _review_line(config, waiting)


def _ledger_line(results: Sequence[TestResult]) -> Iterator[str]:
    decided = [test.outcome for test in results if test.entry is not None]
    counts = (("xfailed", "expected to fail"), ("skipped", "skipped"))
    said = [f"{counted(decided.count(name), 'test')} {words}" for name, words in counts if name in decided]
    if said:
        yield f"hfmodels ledger: {', '.join(said)}"


def _durations_line(results: Sequence[TestResult]) -> str:
    """Return where the time went; "tests" is what belongs to no stage: bodies, fixtures and pytest."""
    spent = sum((Counter(test.durations) for test in results), Counter[str]())
    own = sum(test.seconds for test in results) - spent.total()
    shown = [f"{name} {spent[name]:.2f} s" for name in STAGES if name in spent]
    return f"hfmodels durations: {', '.join([*shown, f'tests {max(own, 0.0):.2f} s'])}"


def _review_line(config: pytest.Config, waiting: Sequence[TestResult]) -> Iterator[str]:
    folder = pending_folder(config)
    if folder is None:
        return
    unsaved = {test.id for test in waiting if any(one.pending and not one.saved for one in test.comparisons)}
    if unsaved:
        count = "nothing is pending" if len(unsaved) == len(waiting) else f"{len(unsaved)} of them could not be saved"
        asked = "" if Session.of(config).options.patch else "; --hfmodels-patch FILE writes what accepting would"
        yield f"{counted(len(waiting), 'test')} to review: {count}, because {folder.path} cannot be written{asked}"
    elif folder.read():  # else a repetition of the test has passed since
        is_found = project_root(config.invocation_params.dir) == config.rootpath
        there = "" if is_found else f" (after {command('cd', relpath(config.rootpath))})"
        review = f"hfmodels review; or accept all of them: hfmodels accept{there}"
        yield f"{counted(len(waiting), 'test')} to review: {review}"
