"""Where a project keeps things, as pytest sees it: for the commands, which run outside a test run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.session import snapshots_folder
from pytest_hfmodels.snapshots.collected import run_quietly
from pytest_hfmodels.snapshots.pending import forget_validity, invalid_reason, pending_folder

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.snapshots.pending import PendingFolder


@dataclass(frozen=True)
class Project:
    """A project.

    Args:
        root: pytest's root directory.
        snapshots: the folder of all snapshots.
        cached: where pending changes are kept; None if pytest's cache is switched off.
    """

    root: Path
    snapshots: Path
    cached: PendingFolder | None

    @cached_property
    def pending(self) -> PendingFolder:
        """Where pending changes are kept; the kinds of their records are registered.

        Raises:
            SnapshotError: pytest's cache is switched off.
        """
        if self.cached is None:
            raise SnapshotError(
                "Nothing can be pending here: pytest's cache, where pending changes are kept, is switched off.",
                hint="Take `-p no:cacheprovider` out of addopts (or PYTEST_ADDOPTS), and run the tests again.",
            )
        changes = self.cached.read()
        files = {self.root / one.test.partition("::")[0] for one in changes if invalid_reason(one) is not None}
        # A report of somebody else may name any file; only conftest files of the project are run.
        inside = (file for file in files if file.resolve().is_relative_to(self.root.resolve()))
        names = sorted(str(file) for file in inside if file.is_file())
        if names:  # pytest reads the conftest.py beside the test, which may register the kind
            run_quietly(_Stop(), *names)
            forget_validity()
        return self.cached


def find_project() -> Project:
    """Return the project of the current folder. No test is collected for it.

    Raises:
        SnapshotError: pytest does not start here.
    """
    stop = _Stop()
    status, output = run_quietly(stop)
    if stop.project is None:
        raise SnapshotError(
            f"pytest does not start here (exit code {status}):\n  {output.strip()}",
            hint="Correct the error that pytest prints.",
        )
    return stop.project


class _Stop:
    """A pytest plugin that stops a run once it is configured, and keeps the project."""

    project: Project | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.project = Project(config.rootpath, snapshots_folder(config), pending_folder(config))
        return 0
