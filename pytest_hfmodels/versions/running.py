"""Runs pytest in a row's environment, which leaves its events and its output and only reads snapshots."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.versions.package_index import uv_environment
from pytest_hfmodels.versions.row_plugin import EVENTS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TIMEOUT = 3600.0  # seconds that a row's tests may take
UPDATE_FLAGS = ("--snapshot-update", "--snapshot-update-new-only", "--hfmodels-allow-update")
_GRACE = 5.0  # seconds between asking a process to end and killing it


class Stopped(Exception):
    """Another thread stopped the processes of this command."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int  # negative for a signal
    seconds: float
    timed_out: bool


class Processes:
    """The processes of one command, which any thread may start and stop. Each has a process group of its own."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self, command: Sequence[str], *, output: Path, environment: Mapping[str, str], timeout: float | None = None
    ) -> Ended:
        """Run a command to its end, and kill what it leaves running.

        Args:
            command: the program and its arguments.
            output: the file for everything that it prints.
            environment: its environment.
            timeout: seconds that it may take.

        Raises:
            Stopped: `stop` was called.
            OSError: it cannot be started, or the file cannot be written.
        """
        begin, timed_out = time.monotonic(), False
        with output.open("wb") as printed:
            with self._lock:
                if self._stopped:
                    raise Stopped
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                timed_out = True
                _end(process, signal.SIGINT)  # lets pytest write its traceback
            finally:
                _end(process, signal.SIGTERM)
                with self._lock:
                    self._running.discard(process)
        if self._stopped:
            raise Stopped
        return Ended(process.returncode, time.monotonic() - begin, timed_out)

    def stop(self) -> None:
        """End every process that runs, and start no other."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            _end(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Ask a process to end, unless it has; then kill everything in its group."""
    if process.poll() is None:
        _signal(process, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


# -- pytest ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PytestRun:
    """How a row's pytest ended, and its files."""

    exit_code: int  # negative for a signal
    seconds: float
    timed_out: bool
    folder: Path  # the folder of its files
    timeout: float = TIMEOUT

    @property
    def events(self) -> Path:
        """The events of `row_plugin`."""
        return self.folder / "events.jsonl"

    @property
    def log(self) -> Path:
        """The output of pytest."""
        return self.folder / "pytest.log"


def run_pytest(
    python: Sequence[str],
    arguments: Sequence[str],
    folder: Path,
    *,
    timeout: float,
    processes: Processes,
    variables: Mapping[str, str] | None = None,
) -> PytestRun:
    """Run pytest in the current folder with another interpreter, a cache and a hypothesis database of its own.

    Args:
        python: the command that starts the interpreter.
        arguments: for pytest.
        folder: the folder for its files; those of an earlier run are replaced.
        timeout: seconds that it may take.
        processes: runs it, so that another thread can stop it.
        variables: more of its environment.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    run = PytestRun(0, 0.0, False, folder, timeout)
    for file in (run.events, run.log):
        file.unlink(missing_ok=True)
    command = [
        # -P: a folder in the project must not hide a package of the row.
        *(*python, "-P", "-m", "pytest", "-p", "pytest_hfmodels.versions.row_plugin"),
        *_own_cache(arguments, folder),
        "--continue-on-collection-errors",
        *arguments,
    ]
    own = {"HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"), EVENTS_VARIABLE: str(run.events)}
    environment = {**uv_environment(), **own, **(variables or {})}
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"):  # set if a test runs this
        environment.pop(name, None)
    ended = processes.run(command, output=run.log, environment=environment, timeout=timeout)
    code = 128 - ended.code if ended.code > 128 else ended.code  # uv adds 128 to a signal, as a shell does
    return PytestRun(code, ended.seconds, ended.timed_out, folder, timeout)


def _own_cache(arguments: Sequence[str], folder: Path) -> tuple[str, ...]:
    # Without the cache's plugin its ini key is unknown, and --strict-config refuses it.
    typed = (*arguments, *shlex.split(added_options()))
    without = any(argument.removeprefix("-p") == "no:cacheprovider" for argument in typed)
    return () if without else ("-o", f"cache_dir={folder / 'cache'}")


def added_options() -> str:
    """Return the options that the environment adds to pytest's."""
    return os.environ.get("PYTEST_ADDOPTS", "")


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise VersionsError for flags that would update snapshots, which all rows share."""
    typed = [*arguments, *shlex.split(added_options())]
    for flag in UPDATE_FLAGS:
        if flag in typed:
            raise VersionsError(
                f"Rows only read snapshots, so {flag} cannot be used with several versions.",
                hint="Leave it out here, and update in the default environment: pytest --snapshot-update.",
            )
