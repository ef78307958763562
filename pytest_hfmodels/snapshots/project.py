"""Where a project keeps things, as pytest sees it: for the commands, which run outside a test run."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.snapshots.collected import QUIETLY
from pytest_hfmodels.snapshots.location import snapshots_folder
from pytest_hfmodels.snapshots.pending import pending_folder

if TYPE_CHECKING:
    from pathlib import Path

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
    seen, output = _Configured(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = pytest.main([*QUIETLY], plugins=[seen])
    if seen.found is None:
        raise SnapshotError(
            f"pytest does not start here (exit code {int(status)}), or keeps no cache:\n  {output.getvalue().strip()}",
            hint="Mend what pytest says, and do not switch its cacheprovider off.",
        )
    return seen.found


class _Configured:
    """A pytest plugin that stops a run once it is configured."""

    def __init__(self) -> None:
        self.found: Project | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        pending = pending_folder(config)
        if pending is not None:
            self.found = Project(config.rootpath, snapshots_folder(config), pending)
        return 0
