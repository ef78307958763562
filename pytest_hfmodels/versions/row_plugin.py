"""Runs one shard of a row's tests, and writes the events of its pytest, one JSON object a line.

The events are collected tests, begun tests and results. The last test that began is the one that crashed or hung. Only
rows load this plugin, with `-p`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import source_from_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.files import stamp
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
_OPENINGS = ("open", "sqlite3.connect")  # https://docs.python.org/3/library/audit_events.html
_LISTINGS = ("os.listdir", "os.scandir")
_FOR_WRITING = os.O_WRONLY | os.O_RDWR


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


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write down which files outside the project were opened, on xdist's workers too."""
    if os.environ.get(EVENTS_VARIABLE):
        _write(Path(os.environ[EVENTS_VARIABLE]), "opened", json.dumps(_OPENED.elsewhere(config.rootpath)))


class OpenedFiles:
    """The files that this process has opened, by an audit hook: https://peps.python.org/pep-0578/.

    Code that is not Python opens files unseen. Python reads a model's configuration, so all files beside a
    `config.json` count.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._folders: set[str] = set()
        self._written: set[str] = set()
        self._begun = time.time_ns()
        self._temporary = tempfile.gettempdir()
        self._others = {one.name for one in Path(self._temporary).iterdir()}  # not made by this run
        sys.addaudithook(self.hear)

    def elsewhere(self, root: Path) -> list[tuple[str, int, int]]:
        """Return files outside the project and the environment, with time and size; no temporary ones of this run.

        A file that a test looked for in vain is one of them, with zeros: the test may differ once it is there. So is a
        folder whose content counts: one that a test listed, or one with a model, which may get another file. A file
        that somebody else has written since this object was made gets a time that none has: who knows what tests read.
        """
        names = self._read()
        installed = (sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("-packages")))
        names = {name for name in names if not name.startswith((*installed, "/proc/", "/sys/", "/dev/"))}
        return [self._stamp(name) for name in sorted(names) if not (self._is_ours(name) or _in_project(name, root))]

    def _stamp(self, name: str) -> tuple[str, int, int]:
        found = stamp(Path(name))
        edited = found[1] >= self._begun and name not in self._written and not Path(name).is_dir()
        return (name, -1, -1) if edited else found

    def _read(self) -> set[str]:
        names = {source for name in [*self._names] if (source := _source(name))}
        names = {name for name in names if not Path(name).is_dir()}  # a folder's time changes with everything in it
        models = {Path(name).parent for name in names if name.endswith("config.json") and Path(name).is_file()}
        return names | {*self._folders, *map(str, models), *(str(file) for one in models for file in one.glob("*"))}

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """Note what is opened or listed. The names are of now: a test may change the current folder."""
        if event == "os.rename":
            self._written |= _absolute(arguments[1])
        elif event in _LISTINGS:
            self._folders |= _absolute("." if arguments[0] is None else arguments[0])
        elif event in _OPENINGS:
            names = _absolute(arguments[0])
            self._names |= names
            if event != "open" or (isinstance(arguments[2], int) and arguments[2] & _FOR_WRITING):
                self._written |= names

    def _is_ours(self, name: str) -> bool:
        """Return whether a file is in a temporary folder of this run, or of any run of pytest."""
        if not name.startswith(f"{self._temporary}/"):
            return name == self._temporary
        folder = name.removeprefix(f"{self._temporary}/").partition("/")[0]
        return folder not in self._others or folder.startswith("pytest-of-")


def _absolute(name: object) -> set[str]:
    """Return the name of a file; none for a file descriptor, or if the current folder was removed."""
    with suppress(OSError):
        return {os.path.abspath(os.fsdecode(name))} if isinstance(name, str | bytes | os.PathLike) else set()  # noqa: PTH100
    return set()


def _source(name: str) -> str:
    """Return a file, for bytecode its source; empty for bytecode that pytest wrote."""
    if not name.endswith(".pyc"):
        return name
    try:
        return source_from_cache(name)
    except ValueError:
        return ""


def _in_project(name: str, root: Path) -> bool:
    """Return whether a file is in the project and not hidden; those of git and pytest's cache count as well."""
    hidden = [part for part in Path(os.path.relpath(name, root)).parts if part.startswith(".")]
    return ".." not in hidden and (not hidden or hidden[0] in (".git", ".pytest_cache"))


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


_OPENED = OpenedFiles()


def _write(file: Path, name: str, value: str) -> None:
    with file.open("a", encoding="utf-8") as events:
        events.write(f'{{"{name}": {value}}}\n')
