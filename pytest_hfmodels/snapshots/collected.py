"""A project's tests, collected without running any: for the commands that ask which test owns what."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.model_request import uses_models, uses_snapshot
from pytest_hfmodels.node_ids import stable_nodeid
from pytest_hfmodels.snapshots.location import snapshot_file, snapshots_folder

if TYPE_CHECKING:
    from collections.abc import Sequence


# Our package is imported already, which pytest warns about where it rewrites assertions; nothing is asserted here.
QUIETLY = ("-q", "--assert=plain")


def collect_project(arguments: Sequence[str] = ()) -> Collected:
    """Collect tests.

    Args:
        arguments: what to collect, as pytest takes it; none for the whole project.

    Raises:
        SnapshotError: the collection fails.
    """
    collected = Collected()
    status, output = run_quietly(collected, "--collect-only", "-p", "no:cacheprovider", *arguments)
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) or not collected.folder.name:
        raise SnapshotError(
            f"The project's tests cannot all be collected (pytest's exit code {int(status)}), "
            f"so it is unknown which snapshots belong to no test:\n{_tail(output)}",
            hint="Correct the errors that `pytest --collect-only` prints, and try again.",
        )
    return collected


def run_quietly(plugin: object, *arguments: str) -> tuple[int, str]:
    """Run pytest with a plugin; return its exit code and what it printed.

    Raises:
        SnapshotError: the project's configuration is not UTF-8.
    """
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            return int(pytest.main([*QUIETLY, *arguments], plugins=[plugin])), output.getvalue()
    except UnicodeDecodeError as error:  # pytest lets it through, without the file's name
        raise SnapshotError(
            f"pytest does not start here: a file that it reads is not UTF-8 ({error.reason}).",
            hint="Save pytest.ini, pyproject.toml, tox.ini and setup.cfg as UTF-8.",
        ) from error


class Collected:
    """A pytest plugin that remembers the collected tests and files."""

    def __init__(self) -> None:
        self.root = Path()
        self.folder = Path()
        self.modules: set[Path] = set()
        self.files: set[Path] = set()
        self.others: set[Path] = set()
        self.nodeids: list[str] = []
        self.using: list[str] = []

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Remember a test file."""
        if isinstance(collector, pytest.Module):
            self.modules.add(collector.path)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Forget a test file that skipped itself."""
        if report.skipped:  # `pytest.importorskip` at the top of a module
            self.modules = {path for path in self.modules if not str(path).endswith(report.nodeid.split("::")[0])}

    @pytest.hookimpl(tryfirst=True)  # before anything is deselected
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Remember tests and their files."""
        self.root, self.folder = config.rootpath, snapshots_folder(config)
        self.nodeids = [stable_nodeid(item) for item in items]
        self.using = [stable_nodeid(item) for item in items if uses_models(item)]
        self.files = {snapshot_file(item, 0) for item in items if uses_snapshot(item)}
        self.others = {snapshot_file(item, 0) for item in items if not uses_snapshot(item)}

    def may_own(self, file: Path) -> bool:
        """Tell whether a test could use a file: in doubt it could.

        A collected test does; or one that names no `hf_snapshot`, which may still ask for it while it runs; or the test
        module is there and was not collected, or skipped itself.
        """
        module = self.root / file.parent.relative_to(self.folder).with_suffix(".py")
        if module.exists() and module not in self.modules:
            return True
        return any(belongs(file, own) for own in self.files | self.others)


def belongs(file: Path, own: Path) -> bool:
    """Tell whether `file` is the first or a further snapshot (`.1`, `[name]`) of the test whose first one is `own`."""
    rest = file.stem.removeprefix(own.stem)
    return (
        file.parent == own.parent
        and file.stem.startswith(own.stem)
        and (not rest or (rest[0] == "." and rest[1:].isdigit()) or (rest[0] == "[" and rest[-1] == "]"))
    )


def _tail(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-5:])
