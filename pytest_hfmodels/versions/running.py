"""pytest in the environment of a row: a process that leaves a report, and reads snapshots only."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.errors import VersionsError
from pytest_hfmodels.versions.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT = 3600.0  # seconds that a row may take
UPDATE_FLAGS = ("--snapshot-update", "--snapshot-update-new-only", "--hfmodels-allow-update")
_EVENTS_VARIABLE = "PYTEST_HFMODELS_ROW_EVENTS"
# Files of a run, in its folder.
_REPORT, _EVENTS, _LOG = "report.jsonl", "events.jsonl", "pytest.log"


@dataclass(frozen=True)
class Run:
    """What a pytest run left.

    Args:
        exit_code: of the process; negative for a signal.
        seconds: how long it ran.
        timed_out: whether it was ended because its time was over.
        folder: where its files are.
        timeout: the seconds it had.
    """

    exit_code: int
    seconds: float
    timed_out: bool
    folder: Path
    timeout: float = TIMEOUT

    @property
    def report(self) -> Path:
        """The report log: a JSON object a line."""
        return self.folder / _REPORT

    @property
    def events(self) -> Path:
        """What was collected and what has begun: a JSON object a line."""
        return self.folder / _EVENTS

    @property
    def log(self) -> Path:
        """What pytest printed."""
        return self.folder / _LOG


def run_pytest(
    python: Path,
    arguments: Sequence[str],
    folder: Path,
    *,
    timeout: float = TIMEOUT,
    processes: Processes | None = None,
) -> Run:
    """Run pytest in the current folder with another interpreter.

    It has a pytest cache and a hypothesis database of its own, which stay in `folder` for the next run there.

    Args:
        python: the interpreter.
        arguments: for pytest.
        folder: for what it leaves; files of an earlier run there are replaced.
        timeout: seconds after which it is ended.
        processes: runs it, so that it can be stopped from another thread.

    Raises:
        VersionsError: the arguments ask for an update, or for a report log.
        Stopped: `processes` was stopped.
        OSError: the folder cannot be written, or the interpreter cannot be started.
    """
    check_arguments(arguments)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for name in (_REPORT, _EVENTS, _LOG):
        (folder / name).unlink(missing_ok=True)
    command = [
        # As `pytest` does, and unlike `python -m pytest` alone: a folder here must not hide what the row installed.
        *(str(python), "-P", "-m", "pytest"),
        *("-p", "pytest_hfmodels.versions.row_plugin"),
        *_own_cache(arguments, folder),
        f"--report-log={folder / _REPORT}",
        "--continue-on-collection-errors",
        *arguments,
    ]
    environment = _environment(python, folder)
    finished = (processes or Processes()).run(command, output=folder / _LOG, environment=environment, timeout=timeout)
    return Run(finished.code, finished.seconds, finished.timed_out, folder, timeout)


def _own_cache(arguments: Sequence[str], folder: Path) -> tuple[str, ...]:
    # Without the cache's plugin nobody knows the ini key, which pytest may be strict about.
    typed = (*arguments, *shlex.split(added_options()))
    without = any(argument.removeprefix("-p") == "no:cacheprovider" for argument in typed)
    return () if without else ("-o", f"cache_dir={folder / 'cache'}")


def added_options() -> str:
    """Return what pytest is given by the environment."""
    return os.environ.get("PYTEST_ADDOPTS", "")


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse what would write snapshots, for every row would write the same files; and what takes a row's report away.

    Raises:
        VersionsError: naming the flag.
    """
    typed = [*arguments, *shlex.split(added_options())]
    for flag in UPDATE_FLAGS:
        if flag in typed:
            raise VersionsError(
                f"Rows only read snapshots: {flag} does not go together with several versions.",
                hint="Leave it out here, and update in the default environment: pytest --snapshot-update.",
            )
    if any(argument.partition("=")[0] == "--report-log" for argument in arguments):
        raise VersionsError(
            "What a row's tests say is read from a report log of its own: --report-log does not go together with that.",
            hint="Leave it out here; hfmodels matrix --json FILE writes what every test said.",
        )


def _environment(python: Path, folder: Path) -> Mapping[str, str]:
    """Return the variables that a row's pytest sees."""
    variables = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis")}
    variables[_EVENTS_VARIABLE] = str(folder / _EVENTS)
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER"):  # when a test runs us
        variables.pop(name, None)
    if python != Path(sys.executable):
        # What a test starts by name is the row's, too.
        variables["VIRTUAL_ENV"] = str(python.parent.parent)
        variables["PATH"] = os.pathsep.join([str(python.parent), variables.get("PATH", os.defpath)])
        variables.pop("PYTHONHOME", None)
    return variables
