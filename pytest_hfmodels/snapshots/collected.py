"""Which tests own which snapshots: collected for commands, or watched while a run collects."""

from __future__ import annotations

import contextlib
import io
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.foundation.errors import OptionError, SnapshotError
from pytest_hfmodels.foundation.model_request import MODELS, uses_models
from pytest_hfmodels.snapshots.location import belongs, snapshot_file
from pytest_hfmodels.snapshots.node_ids import stable_nodeid
from pytest_hfmodels.snapshots.pending import pending_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.snapshots.pending import PendingFolder


def collect_project(root: Path, arguments: Sequence[str] = ()) -> Collected:
    """Collect tests.

    Args:
        root: of the project.
        arguments: what to collect, as pytest takes it; none for the whole project.

    Raises:
        SnapshotError: the collection fails.
    """
    collected = Collected(root)
    status, output = run_quietly(collected, "--collect-only", "-p", "no:cacheprovider", *arguments)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        tail = "\n".join(f"  {line}" for line in output.strip().splitlines()[-5:])
        raise SnapshotError(
            f"The project's tests cannot all be collected (pytest's exit code {status}), "
            f"so it is unknown which snapshots belong to no test:\n{tail}",
            hint="Correct the errors that `pytest --collect-only` prints, and try again.",
        )
    return collected


class _SparesUnused:
    """A pytest plugin under which syrupy only warns of unused snapshots.

    Where no test runs, syrupy takes all of its own for unused, and would end with an error. Its option on the command
    line would stop pytest in a project that does not load syrupy.
    """

    def pytest_configure(self, config: pytest.Config) -> None:
        config.option.warn_unused_snapshots = True


def run_quietly(plugin: object, *arguments: str) -> tuple[int, str]:
    """Run pytest with a plugin; return its exit code and what it printed.

    Raises:
        SnapshotError: the project's configuration is not UTF-8.
    """
    output = io.StringIO()
    # Our package is imported already, which pytest warns about where it rewrites assertions; nothing is asserted here.
    words = ["-q", "--assert=plain", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            return int(pytest.main(words, plugins=[plugin, _SparesUnused()])), output.getvalue()
    except UnicodeDecodeError as error:  # pytest lets it through, without the file's name
        raise SnapshotError(
            f"pytest does not start here: a file that it reads is not UTF-8 ({error.reason}).",
            hint="Save pytest.ini, pyproject.toml, tox.ini and setup.cfg as UTF-8.",
        ) from error


def watch(config: pytest.Config) -> None:
    """Let a run flag the pending changes whose tests it no longer finds: renaming a test leaves its change behind.

    A run cannot tell where it collects a part of a file: what a node id names, or what failed last. What is deselected
    later (`-k`, `-m`) has been collected.
    """
    folder = pending_folder(config)
    if folder is None or config.option.collectonly:
        return
    if config.getoption("lf", default=False) or any("::" in argument for argument in config.args):
        return
    config.pluginmanager.register(_StaleMarker(config.rootpath, folder), "hfmodels-stale-marker")


class Collected:
    """A pytest plugin that knows which test files were collected as a whole, and which snapshots their tests own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodeids: list[str] = []
        self.using: list[str] = []  # the tests with a fixture of ours
        self.owned: set[Path] = set()  # the first snapshot of each test, relative to the root
        self._modules: set[str] = set()
        self._collected: set[str] = set()
        self._in_part: set[str] = set()

    def pytest_pycollect_makemodule(self, module_path: Path) -> None:
        """Remember that a file is collected for its tests: doctests of it are reported under the same name."""
        self._modules.add(self._named(module_path).as_posix())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a test file; one that failed or skipped itself, or a class of which did, says nothing."""
        file = report.nodeid.partition("::")[0]
        (self._collected if report.passed else self._in_part).add(file)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember a test, by the snapshot that it owns or would: it may ask for its fixture while it runs."""
        self.nodeids.append(stable_nodeid(item))
        if uses_models(item):
            self.using.append(self.nodeids[-1])
        with contextlib.suppress(OptionError):  # said where it matters
            self.owned.add(self._named(snapshot_file(item, 0)))

    def has_owner(self, snapshot: Path, test_file: str) -> bool | None:
        """Return whether a collected test owns a snapshot; None if its test file was not collected as a whole.

        Args:
            snapshot: its path.
            test_file: the file of its test, relative to the root.
        """
        if any(belongs(self._named(snapshot), own) for own in self.owned):
            return True
        return False if test_file in (self._collected & self._modules) - self._in_part else None

    def may_own(self, snapshot: Path, folder: Path) -> bool:
        """Return whether a test could use a snapshot in the folder of all snapshots; in doubt it could."""
        test_file = Path(relpath(snapshot.parent, folder)).with_suffix(".py")
        if test_file.parts[0] == MODELS:
            return True  # of `--hfmodels-model`, which this collection does without
        owner = self.has_owner(snapshot, test_file.as_posix())
        return owner is not False if (self.root / test_file).exists() else bool(owner)

    def _named(self, path: Path) -> Path:
        return Path(relpath(path, self.root))


class _StaleMarker(Collected):
    """Flags the stale changes as soon as everything is collected; under xdist every worker does."""

    def __init__(self, root: Path, folder: PendingFolder) -> None:
        super().__init__(root)
        self._folder = folder

    @pytest.hookimpl(tryfirst=True)  # before an xdist worker says that it has collected, and tests begin
    def pytest_collection_finish(self) -> None:
        self._folder.flag(self._is_gone)

    def _is_gone(self, pending: Pending) -> bool | None:
        owner = self.has_owner(self.root / pending.snapshot, pending.test.partition("::")[0])
        return None if owner is None else not owner
