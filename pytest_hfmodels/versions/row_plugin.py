"""Runs one shard of a row's tests, and writes the events of its pytest, one JSON object a line.

The events are collected tests, begun tests and results. The last test that began is the one that crashed or hung. Only
rows load this plugin, with `-p`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.options import update_requested
from pytest_hfmodels.results.gather import reason_of
from pytest_hfmodels.results.model import encode
from pytest_hfmodels.session import Session
from pytest_hfmodels.versions.shards import Shard

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS_VARIABLE = "PYTEST_HFMODELS_ROW_EVENTS"
SHARD_VARIABLE = "PYTEST_HFMODELS_ROW_SHARD"
DURATIONS_VARIABLE = "PYTEST_HFMODELS_ROW_DURATIONS"  # a JSON file: seconds by test


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to update snapshots, which all rows share, and gather the results of all tests."""
    if update_requested(config):
        raise pytest.UsageError("A row of a matrix only reads snapshots; take the update flags out of addopts.")
    session, file = Session.of(config), os.environ.get(EVENTS_VARIABLE)
    session.attaches_everything = True
    if file and not hasattr(config, "workerinput"):
        session.gather_everything()
        config.pluginmanager.register(RowWriter(session, Path(file)), "hfmodels-row")


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other shards."""
    shard = os.environ.get(SHARD_VARIABLE)
    if not shard:
        return
    tests = [item.nodeid for item in items]
    if getattr(config, "workerinput", {"workerid": "gw0"})["workerid"] == "gw0":  # all collect the same
        _write(Path(os.environ[EVENTS_VARIABLE]), "all", json.dumps(tests))
    durations = json.loads(Path(os.environ[DURATIONS_VARIABLE]).read_text(encoding="utf-8"))
    chosen = Shard.parse(shard).choose(tests, durations)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
    items[:] = [item for item in items if item.nodeid in chosen]


class RowWriter:
    """Writes the events of a row.

    Args:
        session: the session of the run, which gathers the results.
        file: the file, which is appended to.
    """

    def __init__(self, session: Session, file: Path) -> None:
        self._session, self._file = session, file

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write down the collected tests."""
        self._write("collected", json.dumps([item.nodeid for item in session.items]))

    @pytest.hookimpl(optionalhook=True)  # unknown without xdist
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Write down the tests that an xdist worker collected; its controller collects none."""
        self._write("collected", json.dumps(list(ids)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Write down why a file cannot be collected, or is skipped."""
        if not report.passed:
            text = "" if report.skipped else str(report.longrepr)
            values = {"id": report.nodeid, "skipped": report.skipped, "reason": reason_of(report), "details": text}
            self._write("uncollected", json.dumps(values))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write down that a test has begun."""
        self._write("began", json.dumps(nodeid))

    @pytest.hookimpl(trylast=True)  # after the session has gathered the report
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write down the result of a test that is over, or whose xdist worker has died."""
        if str(report.when) in ("teardown", "???"):
            self._write("result", encode(self._session.gatherer.result(report.nodeid)))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write down that the run has finished. A shard without a test is no failure."""
        if os.environ.get(SHARD_VARIABLE) and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        self._write("finished", "true")

    def _write(self, name: str, value: str) -> None:
        _write(self._file, name, value)


def _write(file: Path, name: str, value: str) -> None:
    with file.open("a", encoding="utf-8") as events:
        events.write(f'{{"{name}": {value}}}\n')
