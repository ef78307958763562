"""What an interrupted command left, so that the same command goes on: plain data in the project's pytest cache.

For `bisect`.
"""

from __future__ import annotations

import hashlib
import json
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.files import write_atomically
from pytest_hfmodels.versions.environments import file_stamp, source_files
from pytest_hfmodels.versions.matrix import project_root
from pytest_hfmodels.versions.rows import requirement_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.versions.installed import Installed


@dataclass
class Kept:
    """The folder of one command, and the data in it by name.

    Args:
        folder: where other files of the command go, too.
        fingerprint: of what the data depend on.
        data: what an interrupted run of the same command kept; empty where there is none.
        void: whether an interrupted run kept some that hold no longer.
    """

    folder: Path
    fingerprint: str
    data: dict[str, Any] = field(default_factory=dict)
    void: bool = False

    @classmethod
    @contextmanager
    def locked(cls, command: str, identity: object, fingerprint: str) -> Iterator[Kept]:
        """Open the folder of a command for this process alone.

        Args:
            command: its name.
            identity: plain data; the same for the same command.
            fingerprint: another one than the interrupted run's makes what that kept void.

        Raises:
            VersionsError: another process has it, or the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        folder = project_root() / ".pytest_cache" / "hfmodels" / command / _digest(json.dumps(identity))[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder.parent / ".gitignore", "*\n")
            with FileLock(folder / "lock", timeout=0):
                yield cls._opened(folder, fingerprint)
        except Timeout:
            raise VersionsError(f"The same {command} is running already.", hint="Wait for it, or end it.") from None
        except OSError as error:
            raise VersionsError(
                f"What hfmodels {command} leaves cannot be kept in {folder}: {error}.",
                hint="Make room there, or let the folder be written to.",
            ) from error

    @classmethod
    def _opened(cls, folder: Path, fingerprint: str) -> Kept:
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            before, finished, data = state["fingerprint"], state["finished"], dict(state["data"])
        except (OSError, ValueError, KeyError, TypeError):
            return cls(folder, fingerprint)
        if finished or before != fingerprint:
            return cls(folder, fingerprint, void=not finished)
        return cls(folder, fingerprint, data)

    def recall(self, name: str) -> object:
        """Return what was kept under a name; None where nothing was."""
        return self.data.get(name)

    def keep(self, name: str, data: object) -> None:
        """Keep plain data until the command has finished."""
        self.data[name] = data
        self._write(finished=False)

    def forget(self) -> None:
        """Start from the beginning."""
        self.data.clear()

    def finish(self) -> None:
        """Let the next run start from the beginning; files stay."""
        self._write(finished=True)

    def _write(self, *, finished: bool) -> None:
        state = {"fingerprint": self.fingerprint, "finished": finished, "data": self.data}
        write_atomically(self.folder / _STATE, json.dumps(state))


def fingerprint(arguments: Sequence[str], installed: Installed) -> str:
    """Return what changes when tests could come out differently: the project's files, and those installed editable.

    Args:
        arguments: for pytest; the files that they name count wherever they are.
        installed: the current environment.
    """
    root = project_root()
    named = [Path(argument.partition("::")[0]) for argument in arguments if not argument.startswith("-")]
    trees = [path for line in installed.wanted.values() if line.startswith("-e ") and (path := requirement_path(line))]
    folders = [root, *(path for path in (*named, *trees) if path.exists() and root not in path.absolute().parents)]
    files = {
        path.absolute(): None for folder in folders for path in ([folder] if folder.is_file() else source_files(folder))
    }
    stamps = [[str(path), *file_stamp(path)] for path in files]
    return _digest(json.dumps([stamps, sorted(installed.wanted.items()), sorted(installed.versions.items())]))


@contextmanager
def interruptible() -> Iterator[None]:
    """Let what ends this process raise KeyboardInterrupt, so that the processes it started are ended with it."""
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


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_STATE = "state.json"
