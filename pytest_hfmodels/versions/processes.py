"""Processes that can all be stopped at once: each has a group of its own, a time limit and an output file."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GRACE = 5.0  # seconds between asking a group to stop and ending it


class Stopped(Exception):
    """The processes were stopped from another thread: nothing more is to be started."""


@dataclass(frozen=True)
class Finished:
    """How a process ended.

    Args:
        code: its exit code; negative for a signal.
        seconds: how long it ran.
        timed_out: whether it was ended because its time was over.
    """

    code: int
    seconds: float
    timed_out: bool


class Processes:
    """The processes of one command, started from any thread."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        output: Path,
        errors: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Finished:
        """Run a command to its end, in the current folder and with no standard input.

        Args:
            command: the program and its arguments.
            output: the file that what it prints goes to.
            errors: the file for what it prints to standard error; with the output where it is left out.
            environment: instead of this process's.
            timeout: seconds after which its whole group is ended.

        Raises:
            Stopped: `stop` was called before or while it ran.
            OSError: it cannot be started, or the files cannot be written.
        """
        begin = time.monotonic()
        with output.open("wb") as out, errors.open("wb") if errors else nullcontext() as err:
            process = self._start(command, out, err, environment)
            try:
                code, timed_out = _wait(process, timeout)
            except BaseException:
                _end(process)
                raise
            finally:
                with self._lock:
                    self._running.discard(process)
                # What it left running would write into folders that are somebody else's by then.
                _signal(process, signal.SIGKILL)
        if self._stopped:
            raise Stopped
        return Finished(code, time.monotonic() - begin, timed_out)

    def stop(self) -> None:
        """End every process that runs, and start no other."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for process in running:
            while process.returncode is None and time.monotonic() < deadline:
                time.sleep(0.01)  # the thread that started it waits for it
            _signal(process, signal.SIGKILL)

    def _start(
        self, command: Sequence[str], out: IO[bytes], err: IO[bytes] | None, environment: Mapping[str, str] | None
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise Stopped
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT if err is None else err,
                env=environment,
                start_new_session=True,
            )
            self._running.add(process)
        return process


def _wait(process: subprocess.Popen[bytes], timeout: float | None) -> tuple[int, bool]:
    try:
        return process.wait(timeout), False
    except subprocess.TimeoutExpired:
        # An interrupt lets pytest write down where it was; what does not hear it is ended.
        _signal(process, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        _end(process)
        return process.wait(), True


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
