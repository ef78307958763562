"""Pending changes whose tests a run no longer finds, noted while it collects: renaming a test leaves its own behind.

Under xdist every worker collects everything, and notes the same before any test runs.
"""

from __future__ import annotations

from contextlib import suppress
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import OptionError
from pytest_hfmodels.snapshots.collected import belongs
from pytest_hfmodels.snapshots.location import snapshot_file
from pytest_hfmodels.snapshots.pending import pending_folder

if TYPE_CHECKING:
    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.pending import PendingFolder


def watch(config: pytest.Config) -> None:
    """Let a run note which pending changes have lost their tests, where some are pending and it can tell.

    It cannot where it collects a part of a file: what a node id names, or what failed last. What is deselected later
    (`-k`, `-m`) has been collected.
    """
    folder = pending_folder(config)
    if folder is None or config.option.collectonly:
        return
    if config.getoption("lf", default=False) or any("::" in argument for argument in config.args):
        return
    config.pluginmanager.register(_Census(config.rootpath, folder), "hfmodels-census")


class _Census:
    """A pytest plugin that knows which test files were collected as a whole, and which snapshots their tests own."""

    def __init__(self, root: Path, folder: PendingFolder) -> None:
        self._root, self._folder = root, folder
        self._modules: set[str] = set()
        self._collected: set[str] = set()
        self._in_part: set[str] = set()
        self._owned: set[Path] = set()

    def pytest_pycollect_makemodule(self, module_path: Path) -> None:
        """Remember that a file is collected for its tests: doctests of it are reported under the same name."""
        self._modules.add(self._named(module_path).as_posix())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a test file; one that failed or skipped itself, or a class of which did, says nothing."""
        file = report.nodeid.partition("::")[0]
        (self._collected if report.passed else self._in_part).add(file)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember a test, by the snapshot that it owns or would: it may ask for its fixture while it runs."""
        with suppress(OptionError):  # said where it matters
            self._owned.add(self._named(snapshot_file(item, 0)))

    @pytest.hookimpl(tryfirst=True)  # before an xdist worker says that it has collected, and tests begin
    def pytest_collection_finish(self) -> None:
        """Note it."""
        self._folder.flag(self._is_gone)

    def _is_gone(self, pending: Pending) -> bool | None:
        snapshot = self._named(self._root / pending.snapshot)
        if any(belongs(snapshot, own) for own in self._owned):
            return False
        return True if pending.test.partition("::")[0] in self._whole() else None

    def _whole(self) -> set[str]:
        return (self._collected & self._modules) - self._in_part

    def _named(self, path: Path) -> Path:
        return Path(relpath(path, self._root))
