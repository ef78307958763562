"""A pytest plugin that runs a session under one fault: `-p tests.mutations.plugin --fault NAME`.

The fault is applied once transformers is imported and before any test loads a model. Without a name the run is an
ordinary one.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.mutations.fault import named

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """https://docs.pytest.org/en/stable/reference/reference.html#pytest.hookspec.pytest_addoption."""
    group = parser.getgroup("mutations")
    group.addoption("--fault", metavar="NAME", help="run under this fault of tests/mutations")
    group.addoption("--fault-report", metavar="FILE", type=Path, help="write what failed, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Find the fault before anything runs, so that a name that there is not is said at once."""
    config.pluginmanager.register(_Session(config), "mutations-session")
    if config.option.fault:
        _do_not_shrink()


def _do_not_shrink() -> None:
    """Let properties stop at the first counterexample: that there is one is all that is asked, and shrinking is slow.

    A suite that loads a profile of its own must leave out `Phase.shrink` itself.
    """
    try:
        from hypothesis import Phase, settings
    except ImportError:
        return
    settings.register_profile("mutations", phases=[Phase.explicit, Phase.reuse, Phase.generate])
    settings.load_profile("mutations")


class _Session:
    """One session under a fault."""

    def __init__(self, config: pytest.Config) -> None:
        self._fault = named(config.option.fault) if config.option.fault else None
        self._report: Path | None = config.option.fault_report
        self._applied: AbstractContextManager[None] | None = None
        self._failed: list[str] = []
        self._ran = 0
        self._start = time.monotonic()

    def pytest_report_header(self) -> str | None:
        """Say under which fault the session runs."""
        return None if self._fault is None else f"fault: {self._fault.name}: {self._fault.says}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Import what tests would import, and apply the fault to it."""
        if self._fault is None or session.config.option.collectonly:
            return
        from pytest_hfmodels.engines import upstream
        from pytest_hfmodels.options import Options

        engines = Options.of(session.config).engines or ("torch",)
        upstream.transformers(with_tensorflow="tensorflow" in engines)
        self._applied = self._fault.apply()
        self._applied.__enter__()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count, and remember what failed."""
        self._ran += report.when == "call"
        if report.failed and report.nodeid not in self._failed:
            self._failed.append(report.nodeid)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Undo the fault, and report."""
        if self._applied is not None:
            self._applied.__exit__(None, None, None)
        if self._report is not None:
            found: dict[str, Any] = {
                "exit": int(exitstatus),
                "ran": self._ran,
                "failed": self._failed,
                "seconds": round(time.monotonic() - self._start, 2),
            }
            half = self._report.with_suffix(".half")
            half.write_text(json.dumps(found), encoding="utf-8")
            os.replace(half, self._report)  # noqa: PTH105 - atomic by name
