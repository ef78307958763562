"""The files whose changes start a run, and those whose changes restart the watching process."""

from __future__ import annotations

import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.files import stamp
from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.versions.resume import named_paths, source_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_SETTLES = 0.1  # seconds without a write, after which a change is complete
_SHARE = 20  # looking takes at most one part in this many of the time


class WatchedFiles:
    """The files of the project, of pytest's arguments, and of the models that the last run used.

    It compares times, because libraries that watch files start a thread, and this process forks.

    Args:
        arguments: for pytest.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._paths = {project_root(), *named_paths(arguments)}
        self._own: set[str] = set()  # files that the tests write
        self._written: set[str] = set()  # files that changed during the last run
        self._seen = self._look()
        self.interval = 0.3  # seconds between looks

    def add(self, folders: Sequence[str]) -> None:
        """Watch files and folders of models, which may lie outside the project, from now on."""
        new = {Path(folder) for folder in folders} - self._paths
        self._paths |= new
        self._seen = {**_stamps(new), **self._seen}

    def changed(self) -> list[str]:
        """Return the files that changed since the last look, once nobody writes them any more."""
        begin = time.monotonic()
        now = self._look()
        self.interval = max(0.3, _SHARE * (time.monotonic() - begin))
        found = _differing(self._seen, now)
        while found:
            time.sleep(_SETTLES)
            before, now = now, self._look()
            if before == now:
                break
        self._seen = now
        return sorted(found)

    def during(self, run: Callable[[], object]) -> list[str]:
        """Run the tests; return the files that somebody else changed meanwhile.

        Files that two consecutive runs change are the tests' own output.
        """
        run()
        now = self._look()
        written = _differing(self._seen, now)
        self._seen = now
        self._own |= written & self._written
        self._written = written
        return sorted(written - self._own)

    def _look(self) -> dict[str, tuple[int, int]]:
        return _stamps(self._paths)


class ImportedCode:
    """The files that this process has imported and that somebody may edit: those of editable installations."""

    def __init__(self) -> None:
        self._installed = _installed()
        self._stamps: dict[str, tuple[str, int, int]] = {}
        self.include()

    @property
    def files(self) -> list[str]:
        """The files."""
        return [*self._stamps]

    def include(self) -> None:
        """Add the files imported since the last call."""
        installed = tuple({*sysconfig.get_paths().values(), sys.base_prefix})
        names = {file for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
        self._stamps |= {name: stamp(Path(name)) for name in names - {*self._stamps} if not name.startswith(installed)}

    def change(self) -> str | None:
        """Return what has changed since it was imported, so that a fork would run old code; None if nothing has."""
        if _installed() != self._installed:
            return "packages were installed or removed"
        edited = [name for name, found in self._stamps.items() if stamp(Path(name)) != found]
        return f"{edited[0]} changed after it was imported" if edited else None


def _installed() -> list[tuple[str, int, int]]:
    """Return stamps of the folders of installed packages, which change with each installation."""
    return [stamp(Path(sysconfig.get_path(name))) for name in ("purelib", "platlib")]


def _stamps(paths: Iterable[Path]) -> dict[str, tuple[int, int]]:
    files = {str(file.absolute()) for path in paths for file in source_files(path)}
    found = (stamp(Path(file)) for file in files if not file.endswith("~"))  # an editor's copy
    return {name: (changed, size) for name, changed, size in found}


def _differing(before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]]) -> set[str]:
    return {file for file in before.keys() | now.keys() if before.get(file) != now.get(file)}
