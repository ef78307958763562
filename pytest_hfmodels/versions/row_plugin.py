"""What a row's pytest tells beside its report log: what was collected, and what has begun.

A report log names a test only once a part of it has ended, which a crash or a hang never lets happen. Loaded with
`-p` in the environments of rows, and nowhere else.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.options import update_requested

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

EVENTS_VARIABLE = "PYTEST_HFMODELS_ROW_EVENTS"


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to write snapshots, wherever that was asked for: rows share them."""
    if update_requested(config):
        raise pytest.UsageError("A row of a matrix only reads snapshots; take the update flags out of addopts.")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down the tests that are to run."""
    _write(session.config, {"collected": [item.nodeid for item in session.items]})


@pytest.hookimpl(optionalhook=True)  # unknown without xdist
def pytest_xdist_node_collection_finished(node: object, ids: Sequence[str]) -> None:
    """Write down the tests that an xdist worker is to run; its controller collects none."""
    _write(node.config, {"collected": list(ids)})  # type: ignore[attr-defined] # a class of xdist's


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the exception's class to the report of a failed test: the report itself holds only text."""
    report = yield
    if report.failed and call.excinfo is not None:
        report.user_properties.append(("hfmodels_raises", f"{call.excinfo.typename} in {call.when}"))
    return report


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down that a test has begun, on the controller where there are workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _append({"began": nodeid})


def _write(config: pytest.Config, event: dict[str, object]) -> None:
    if not hasattr(config, "workerinput"):
        _append(event)


def _append(event: dict[str, object]) -> None:
    file = os.environ.get(EVENTS_VARIABLE)
    if file:
        with Path(file).open("a", encoding="utf-8") as events:
            events.write(f"{json.dumps(event)}\n")
