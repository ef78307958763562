"""What an interrupted `matrix` or `bisect` saved, so that the same command continues.

It lies below `.pytest_cache`, whatever the project calls pytest's cache: pytest would have to start to tell that name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import stamp, write_atomically
from pytest_hfmodels.foundation.rootdir import configured_root, project_root
from pytest_hfmodels.results.model import ReportError, encode
from pytest_hfmodels.versions.results import RowResult, read_json
from pytest_hfmodels.versions.rows import requirement_path
from pytest_hfmodels.versions.running import added_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_hfmodels.versions.installed import Installed

CACHE = Path(".pytest_cache", "hfmodels")  # in the project's root


@dataclass(frozen=True)
class SavedRun:
    """The rows that one command has finished. Threads may save different rows at once."""

    folder: Path
    message: str  # what to tell the user about an interrupted run

    @classmethod
    @contextmanager
    def open(cls, command: str, identity: object, fingerprint: str, *, restart: bool) -> Iterator[SavedRun]:
        """Open the folder of a command for this process alone.

        Args:
            command: its name.
            identity: plain data; equal for equal commands.
            fingerprint: of everything that results depend on; if it has changed, an interrupted run starts over.
            restart: start over in any case.

        Raises:
            VersionsError: another process has it open, or it cannot be written.
        """
        folder = project_root() / CACHE / command / _digest(identity)[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # pytest writes it only into a cache that it makes itself.
            if not (ignored := folder.parents[2] / ".gitignore").exists():
                write_atomically(ignored, "*\n")
            with FileLock(folder / "lock", timeout=0):
                yield cls(folder, _begin(folder, fingerprint, restart=restart))
        except Timeout:
            raise VersionsError(f"The same {command} is running already.", hint="Wait for it, or end it.") from None
        except OSError as error:
            raise VersionsError(
                f"The results of hfmodels {command} cannot be saved in {folder}: {error}.",
                hint="Make room there, or make the folder writable.",
            ) from error

    def result(self, row: str) -> RowResult | None:
        """Return the saved result of a row; None if there is none that this release of the plugin can read."""
        with suppress(OSError, ReportError):
            return read_json(self._file(row), RowResult)
        return None

    def save(self, result: RowResult) -> None:
        """Save the result of a row until the command has finished."""
        write_atomically(self._file(result.name), encode(result))

    def finish(self) -> None:
        """Let the next run start over."""
        shutil.rmtree(self.folder / "rows", ignore_errors=True)

    def row_folder(self, row: str) -> Path:
        """Return a folder for the files of a row, whose name may hold any character."""
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", row).strip("-")[-60:]
        return self.folder / f"{readable}-{_digest(row)[:8]}"

    def _file(self, row: str) -> Path:
        return self.folder / "rows" / f"{_digest(row)[:16]}.json"


def _begin(folder: Path, fingerprint: str, *, restart: bool) -> str:
    """Delete saved rows unless the run continues; return what to tell the user."""
    rows, state, message = folder / "rows", folder / "fingerprint", ""
    if any(rows.glob("*.json")) and not restart:
        if state.is_file() and state.read_text(encoding="utf-8", errors="replace") == fingerprint:
            return "Continuing an interrupted run (--restart starts over)."
        message = "The project or the installed packages changed since the interrupted run: it starts over."
    shutil.rmtree(rows, ignore_errors=True)
    write_atomically(state, fingerprint)
    return message


def fingerprint(
    arguments: Sequence[str],
    installed: Installed,
    requirements: Sequence[str] = (),
    outputs: Sequence[Path] = (),
    *,
    of: Callable[[Path], tuple[Any, ...]] | None = None,
) -> str:
    """Return a digest that changes if tests could come out differently: of the project's files and what is installed.

    Args:
        arguments: for pytest; files and folders that they name count, with their projects.
        installed: the current environment; the files of its editable installs count.
        requirements: of the rows; the trees and files that they name count.
        outputs: files that the command itself writes; they do not count.
        of: returns plain data about a file; by default its name, time and size.
    """
    trees = [path for line in (*installed.wanted.values(), *requirements) if (path := requirement_path(line))]
    found = {
        file.absolute() for path in (project_root(), *named_paths(arguments), *trees) for file in source_files(path)
    }
    files = sorted(found - {path.absolute() for path in outputs})
    return _digest([[*map(of or stamp, files)], sorted(installed.wanted.items()), sorted(installed.versions.items())])


def named_paths(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files and folders that pytest's arguments name, and their projects."""
    for argument in (*arguments, *shlex.split(added_options())):
        path = Path(argument.rpartition("=")[2].partition("::")[0])
        if path.exists():
            yield path
            yield configured_root(path.absolute()) or path


def source_files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder without hidden ones, caches, builds and environments."""
    if path.is_file():
        yield path
    seen: set[str] = set()
    for parent, folders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(parent)
        folders[:] = [] if real in seen else [name for name in folders if not _is_generated(Path(parent, name))]
        if real not in seen:
            yield from (Path(parent, name) for name in files if not name.startswith("."))
        seen.add(real)


def _is_generated(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name == "__pycache__" or folder.name.endswith(".egg-info")
    return hidden or (folder / "pyvenv.cfg").exists()


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for each signal that ends this process: its children have process groups of their own."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
