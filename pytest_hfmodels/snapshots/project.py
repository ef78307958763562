"""Where a project keeps things, as pytest sees it: for the commands, which run outside a test run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.snapshots.collected import run_quietly
from pytest_hfmodels.snapshots.location import snapshots_folder
from pytest_hfmodels.snapshots.pending import forget_validity, invalid_reason, pending_folder

if TYPE_CHECKING:
    from pytest_hfmodels.snapshots.pending import PendingFolder


@dataclass(frozen=True)
class Project:
    """A project's places.

    Args:
        root: pytest's root directory.
        snapshots: the folder of all snapshots.
        pending: where pending changes are kept.
    """

    root: Path
    snapshots: Path
    pending: PendingFolder


def find_project() -> Project:
    """Return the project of the current folder. No test is collected for it.

    Raises:
        SnapshotError: pytest does not start here, or keeps no cache.
    """
    seen = _configured()
    if seen.pending is None:
        raise SnapshotError(
            "Nothing can be pending here: pytest's cache, where pending changes are kept, is switched off.",
            hint="Take `-p no:cacheprovider` out of addopts (or PYTEST_ADDOPTS), and run the tests again.",
        )
    _register_kinds(seen.root, seen.pending)
    return Project(seen.root, seen.snapshots, seen.pending)


def _register_kinds(root: Path, folder: PendingFolder) -> None:
    """Let pytest read the `conftest.py` beside each test whose change cannot be read: it may register the kind."""
    found = folder.read()
    files = {root / pending.test.partition("::")[0] for pending in found if invalid_reason(pending) is not None}
    names = sorted(str(file) for file in files if file.is_file())
    if names:
        run_quietly(_Configured(), *names)
        forget_validity()


def find_snapshots() -> Path:
    """Return the folder of all snapshots of the current folder's project, which needs no cache.

    Raises:
        SnapshotError: pytest does not start here.
    """
    return _configured().snapshots


def find_root() -> Path:
    """Return pytest's root directory for the current folder.

    Raises:
        SnapshotError: pytest does not start here.
    """
    return _configured().root


def _configured() -> _Configured:
    seen = _Configured()
    status, output = run_quietly(seen)
    if not seen.reached:
        raise SnapshotError(
            f"pytest does not start here (exit code {int(status)}):\n  {output.strip()}",
            hint="Correct the error that pytest prints.",
        )
    return seen


class _Configured:
    """A pytest plugin that stops a run once it is configured, and keeps what it was configured to."""

    def __init__(self) -> None:
        self.reached = False
        self.root = self.snapshots = Path()
        self.pending: PendingFolder | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.root, self.snapshots, self.pending = config.rootpath, snapshots_folder(config), pending_folder(config)
        self.reached = True
        return 0
