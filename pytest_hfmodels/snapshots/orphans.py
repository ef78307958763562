"""Snapshot files that belong to no test: found by collecting the project and asking every test for its file."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.requests import uses_snapshot
from pytest_hfmodels.snapshots.format import parse
from pytest_hfmodels.snapshots.location import snapshot_file, snapshots_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find_orphans(arguments: Sequence[str] = ()) -> list[Path]:
    """Return the snapshot files of this project that no collected test could use, relative to the current folder.

    Args:
        arguments: what to collect, as pytest takes it. With any, only files below the folders that mirror the
            collected test files are looked at.

    Raises:
        SnapshotError: the collection fails, so that nobody can tell.
    """
    if any("::" in argument for argument in arguments):
        raise SnapshotError(
            "hfmodels orphans takes test files and folders: one test says nothing of the others in its file.",
            hint="Name the file, or nothing for the whole project.",
        )
    collected = _Collected()
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *arguments], plugins=[collected])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) or collected.folder is None:
        raise SnapshotError(
            f"The project's tests cannot all be collected (pytest's exit code {int(status)}), "
            f"so nobody can tell which snapshots belong to none:\n{_tail(output.getvalue())}",
            hint="Mend what `pytest --collect-only` says, and try again.",
        )
    folders = {file.parent for file in collected.files} if arguments else {collected.folder}
    return sorted(
        Path(os.path.relpath(file)) for folder in folders for file in _snapshots(folder) if not collected.may_own(file)
    )


class _Collected:
    """A pytest plugin that keeps what it needs of a collection, while its configuration lives."""

    def __init__(self) -> None:
        self.root = Path()
        self.folder: Path | None = None
        self.modules: set[Path] = set()
        self.files: set[Path] = set()
        self.others: set[Path] = set()

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.Module):
            self.modules.add(collector.path)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:  # `pytest.importorskip` at the top of a module
            self.modules = {path for path in self.modules if not str(path).endswith(report.nodeid.split("::")[0])}

    @pytest.hookimpl(tryfirst=True)  # before anything is deselected
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self.root, self.folder = config.rootpath, snapshots_folder(config)
        self.files = {snapshot_file(item, 0) for item in items if uses_snapshot(item)}
        self.others = {snapshot_file(item, 0) for item in items if not uses_snapshot(item)}

    def may_own(self, file: Path) -> bool:
        """Tell whether a test could use a file: in doubt it could.

        A collected test does; or one that names no `hf_snapshot`, which may still ask for it while it runs; or the test
        module is there and was not collected, or skipped itself.
        """
        assert self.folder is not None, "asked after the collection"
        module = self.root / file.parent.relative_to(self.folder).with_suffix(".py")
        if module.exists() and module not in self.modules:
            return True
        return any(_belongs(file, own) for own in self.files | self.others)


def _snapshots(folder: Path) -> Iterator[Path]:
    """Yield our own files below a folder: others may keep TOML there too, and variants belong to the ledger."""
    for path in folder.rglob("*.toml"):
        if "variants" in path.relative_to(folder).parts[:1]:
            continue
        try:
            values = parse(path.read_text(encoding="utf-8"), path)
        except (SnapshotError, UnicodeDecodeError):
            continue
        if {"format", "kind", "provenance"} <= values.keys():
            yield path


def _belongs(file: Path, own: Path) -> bool:
    """Tell whether `file` is the first or a further snapshot (`.1`, `[name]`) of the test whose first one is `own`."""
    rest = file.stem.removeprefix(own.stem)
    return (
        file.parent == own.parent
        and file.stem.startswith(own.stem)
        and (not rest or (rest[0] == "." and rest[1:].isdigit()) or (rest[0] == "[" and rest[-1] == "]"))
    )


def _tail(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-5:])
