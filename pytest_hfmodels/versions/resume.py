"""What an interrupted command saved, so that the same command continues; for `matrix` and `bisect`.

It lies below `.pytest_cache`, whatever the project calls pytest's cache: to learn that name, pytest would have to start
here, with a conftest that may take seconds, or load only in the rows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import read_bytes, write_atomically
from pytest_hfmodels.foundation.rootdir import configured_root, project_root
from pytest_hfmodels.versions.results import RowResult
from pytest_hfmodels.versions.rows import requirement_path
from pytest_hfmodels.versions.running import added_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.versions.installed import Installed

STATE, RESULTS = "run.json", "results"  # in the folder of a command
UNREADABLE = (OSError, ValueError, RecursionError)  # what `read_json` raises
_LARGEST = 64_000_000  # bytes of a saved file; thousands of tests take a few million
_FOLDER_OPTIONS = ("--rootdir", "--config-file", "--confcutdir")


@dataclass(frozen=True)
class SavedRun:
    """The folder of one command, and what it has saved there. Threads may save different names at once."""

    folder: Path
    fingerprint: str  # of everything that the results depend on
    message: str  # what to tell the user about an interrupted run

    @classmethod
    @contextmanager
    def open(cls, command: str, identity: object, fingerprint: str, *, restart: bool) -> Iterator[SavedRun]:
        """Open the folder of a command for this process alone.

        Args:
            command: its name.
            identity: plain data; equal for equal commands.
            fingerprint: if the interrupted run had another one, its results are deleted.
            restart: whether to delete them all the same.

        Raises:
            VersionsError: another process has it open, or it cannot be written.
        """
        folder = project_root() / ".pytest_cache" / "hfmodels" / command / _digest(identity)[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # pytest writes it only into a cache that it makes itself.
            if not (ignored := folder.parents[2] / ".gitignore").exists():
                write_atomically(ignored, "*\n")
            with FileLock(folder / "lock", timeout=0):
                yield cls._opened(folder, fingerprint, restart=restart)
        except Timeout:
            raise VersionsError(f"The same {command} is running already.", hint="Wait for it, or end it.") from None
        except OSError as error:
            raise VersionsError(
                f"The results of hfmodels {command} cannot be saved in {folder}: {error}.",
                hint="Make room there, or make the folder writable.",
            ) from error

    @classmethod
    def _opened(cls, folder: Path, fingerprint: str, *, restart: bool) -> SavedRun:
        files, before, message = list((folder / RESULTS).glob("*.json")), None, ""
        with suppress(*UNREADABLE):
            before = read_json(folder / STATE)
        interrupted = bool(files) and isinstance(before, dict) and before.get("finished") is False
        if interrupted and not restart and before == {"fingerprint": fingerprint, "finished": False}:
            return cls(folder, fingerprint, "Continuing an interrupted run (--restart starts over).")
        if interrupted and not restart:
            message = "The project or the installed packages changed since the interrupted run: it starts over."
        for file in files:
            file.unlink(missing_ok=True)
        saved = cls(folder, fingerprint, message)
        saved.finish(finished=False)
        return saved

    def load(self, name: str) -> object:
        """Return what is saved under a name; None if nothing is."""
        with suppress(*UNREADABLE):
            return read_json(self._file(name))
        return None

    def result(self, row: str) -> RowResult | None:
        """Return the saved result of a row; None if there is none, or another release of the plugin saved it."""
        with suppress(ValueError):
            return RowResult.from_data(self.load(row))
        return None

    def save(self, name: str, data: object) -> None:
        """Save plain data until the command has finished."""
        write_atomically(self._file(name), json.dumps(data))

    def finish(self, *, finished: bool = True) -> None:
        """Let the next run start over. What this one left stays."""
        write_atomically(self.folder / STATE, json.dumps({"fingerprint": self.fingerprint, "finished": finished}))

    def row_folder(self, row: str) -> Path:
        """Return a folder for what a row leaves; its name may hold any character."""
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", row).strip("-")[-60:]
        return self.folder / f"{readable}-{_digest(row)[:8]}"

    def _file(self, name: str) -> Path:
        return self.folder / RESULTS / f"{_digest(name)[:16]}.json"


def read_json(file: Path) -> object:
    """Return the JSON in a regular file of limited size, or raise one of `UNREADABLE`."""
    return json.loads(read_bytes(file, largest=_LARGEST))


def fingerprint(
    arguments: Sequence[str], installed: Installed, requirements: Sequence[str] = (), outputs: Sequence[Path] = ()
) -> str:
    """Return a digest that changes if tests could come out differently: of the project's files, and what is installed.

    Args:
        arguments: for pytest; files and folders that they name count, with the projects that those are in.
        installed: the current environment; the files of its editable installs count.
        requirements: of the rows; the trees and files that they name count.
        outputs: files that the command itself writes; they do not count.
    """
    trees = [path for line in (*installed.wanted.values(), *requirements) if (path := requirement_path(line))]
    folders = [project_root(), *_named(arguments), *trees]
    files = {file.absolute() for folder in folders for file in _source_files(folder)}
    stamps = [_stamp(file) for file in sorted(files - {path.absolute() for path in outputs})]
    return _digest([stamps, sorted(installed.wanted.items()), sorted(installed.versions.items())])


def _named(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files and folders that pytest is given, and the projects that they are in."""
    for argument in (*arguments, *shlex.split(added_options())):
        option, _, value = argument.partition("=")
        path = Path(value if option in _FOLDER_OPTIONS else argument.partition("::")[0])
        if not str(path).startswith("-") and path.exists():
            yield path
            yield configured_root(path.absolute()) or path


def _source_files(path: Path) -> Iterator[Path]:
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
    name = folder.name
    hidden = name.startswith(".") or name == "__pycache__" or name.endswith(".egg-info")
    return hidden or (folder / "pyvenv.cfg").exists()


def _stamp(file: Path) -> tuple[str, int, int]:
    with suppress(OSError):
        status = file.stat()
        return str(file), status.st_mtime_ns, status.st_size
    return str(file), 0, 0


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
