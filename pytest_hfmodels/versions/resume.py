"""What an interrupted command left, so that the same command goes on; for `matrix` and `bisect`.

It lies below `.pytest_cache` whatever the project calls pytest's cache: to be told, pytest would have to start here,
and with it a conftest that may take seconds, or load in the rows only.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.files import write_atomically
from pytest_hfmodels.rootdir import configured_root, project_root
from pytest_hfmodels.versions.environments import file_stamp, source_files
from pytest_hfmodels.versions.results import RowResult
from pytest_hfmodels.versions.rows import requirement_path
from pytest_hfmodels.versions.running import added_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.versions.installed import Installed

BEGINS_AGAIN = "The project or what is installed has changed since the interrupted run: it begins again."


@dataclass(frozen=True)
class Kept:
    """The folder of one command, and the data in it by name. Threads may keep different names at once.

    Args:
        folder: where.
        fingerprint: of what the data depend on.
        void: whether an interrupted run kept some that hold no longer.
    """

    folder: Path
    fingerprint: str
    void: bool = False

    @classmethod
    @contextmanager
    def locked(cls, command: str, identity: object, fingerprint: str, *, restart: bool = False) -> Iterator[Kept]:
        """Open the folder of a command for this process alone.

        Args:
            command: its name.
            identity: plain data; the same for the same command.
            fingerprint: another one than the interrupted run's makes what that kept void.
            restart: whether to begin again all the same.

        Raises:
            VersionsError: another process has it, or it cannot be written.
        """
        from filelock import FileLock, Timeout

        folder = project_root() / ".pytest_cache" / "hfmodels" / command / _digest(identity)[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder.parent / ".gitignore", "*\n")
            # pytest writes its own only into a cache that it makes itself.
            if not (ignored := folder.parents[2] / ".gitignore").exists():
                write_atomically(ignored, "*\n")
            with FileLock(folder / "lock", timeout=0):
                yield cls._opened(folder, fingerprint, restart=restart)
        except Timeout:
            raise VersionsError(f"The same {command} is running already.", hint="Wait for it, or end it.") from None
        except OSError as error:
            raise VersionsError(
                f"What hfmodels {command} leaves cannot be kept in {folder}: {error}.",
                hint="Make room there, or let the folder be written to.",
            ) from error

    @classmethod
    def _opened(cls, folder: Path, fingerprint: str, *, restart: bool) -> Kept:
        before = _read_json(folder / _STATE)
        kept = cls(folder, fingerprint)
        if restart or before != kept._state(finished=False):
            unfinished = isinstance(before, dict) and before.get("finished") is False and kept.any
            kept = cls(folder, fingerprint, void=unfinished and not restart)
            for file in kept._files():
                file.unlink(missing_ok=True)
            kept._write(finished=False)
        return kept

    @property
    def any(self) -> bool:
        """Whether something is kept."""
        return any(True for _ in self._files())

    def recall(self, name: str) -> object:
        """Return what is kept under a name; None where nothing is."""
        return _read_json(self._file(name))

    def result(self, name: str) -> RowResult | None:
        """Return the row's result that is kept under a name; None where there is none, or another release's of ours."""
        data = self.recall(name)
        try:
            return RowResult.from_data(data) if isinstance(data, dict) else None
        except ValueError:
            return None

    def keep(self, name: str, data: object) -> None:
        """Keep plain data until the command has finished."""
        write_atomically(self._file(name), json.dumps(data))

    def finish(self) -> None:
        """Let the next run start from the beginning; what runs left stays."""
        self._write(finished=True)

    def place(self, name: str) -> Path:
        """Return a folder for what a run leaves, by a name that may hold anything."""
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[-60:]
        return self.folder / f"{readable}-{_digest(name)[:8]}"

    def _file(self, name: str) -> Path:
        return self.folder / _KEPT / f"{_digest(name)[:16]}.json"

    def _files(self) -> Iterator[Path]:
        return (self.folder / _KEPT).glob("*.json")

    def _state(self, *, finished: bool) -> dict[str, object]:
        return {"fingerprint": self.fingerprint, "finished": finished}

    def _write(self, *, finished: bool) -> None:
        write_atomically(self.folder / _STATE, json.dumps(self._state(finished=finished)))


def fingerprint(
    arguments: Sequence[str], installed: Installed, outputs: Sequence[Path] = (), requirements: Sequence[str] = ()
) -> str:
    """Return what changes when tests could come out differently: the project's files, and what is installed.

    Args:
        arguments: for pytest; the files that they name count wherever they are, with the project that they are in.
        installed: the current environment; the trees that it has editable count with their files.
        outputs: files that the command itself writes; that they change says nothing of the tests.
        requirements: what the rows ask for; the trees and files that they name count.
    """
    editable = [line for line in installed.wanted.values() if line.startswith("-e ")]
    trees = [path for line in (*editable, *requirements) if (path := requirement_path(line))]
    folders = [project_root(), *_named(arguments), *trees]
    files = {
        path.absolute(): None for folder in folders for path in ([folder] if folder.is_file() else source_files(folder))
    }
    written = {path.absolute() for path in outputs}
    stamps = [[str(path), *file_stamp(path)] for path in files if path not in written]
    return _digest([stamps, sorted(installed.wanted.items()), sorted(installed.versions.items())])


def _named(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files and folders that pytest is given, and the projects that they are in."""
    for argument in (*arguments, *shlex.split(added_options())):
        option, _, value = argument.partition("=")
        path = Path(value if option in _FOLDER_OPTIONS else argument.partition("::")[0])
        if (option in _FOLDER_OPTIONS or not argument.startswith("-")) and path.exists():
            yield path
            if root := configured_root(path.absolute()):
                yield root


@contextmanager
def interruptible() -> Iterator[None]:
    """Let what ends this process raise KeyboardInterrupt: the processes it started have groups of their own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


# What may say where the tests' project is.
_FOLDER_OPTIONS = ("--rootdir", "--config-file", "--confcutdir")
# In the folder of a command: how far it is, and its data.
_STATE, _KEPT = "run.json", "kept"
