"""Saves finished rows of `hfmodels matrix`, so that `--reuse` can take a row in which nothing can have changed.

A row is taken only if everything that its tests could read is as it was: the environment, the files of the project, the
files that the tests opened elsewhere (models in the Hub's cache), the variables and the processor.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.files import expanded, read_bytes, stamp, write_atomically
from pytest_hfmodels.results.model import ReportError, encode
from pytest_hfmodels.versions.results import RowResult, State, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_hfmodels.versions.environments import Environment
    from pytest_hfmodels.versions.rows import Row

_READ_WHOLE = 16_000_000  # bytes; the contents of larger files are represented by their times and sizes
# Outcomes that may come from the machine, the network or the moment.
_DOUBTFUL = (State.BROKEN, State.NOT_RUN, State.BUILD_FAILED, State.CRASHED, State.TIMEOUT)
# Variables of a shell or a terminal, which differ between two calls and change no test.
_OF_A_SHELL = ("_", "COLUMNS", "LINES", "OLDPWD", "PWD", "PYTEST_CURRENT_TEST", "SHLVL", "TERM", "WINDOWID")
_RECENT = 600  # seconds; uv, too, asks PyPI again after as long
_CPU = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class SavedRow:
    """A finished row, and what it depends on.

    Args:
        depends: a digest of the environment, the project, the variables and the processor.
        opened: files elsewhere that the tests opened, each with its time and size.
        when: the time at which it finished, in UTC.
        result: of the row.
    """

    depends: str
    opened: tuple[tuple[str, int, int], ...]
    when: str
    result: RowResult


@dataclass(frozen=True)
class FinishedRows:
    """The finished rows of a project. Threads may save different rows at once.

    Args:
        folder: where they are saved.
        identity: plain data of the command that rows share: pytest's arguments, the shard, the current folder.
        project: returns a digest of the project's files and of what is installed, as they are now.
        begun: that digest as the command began.
    """

    folder: Path
    identity: Sequence[object]
    project: Callable[[], str]
    begun: str

    def is_recent(self, row: Row) -> bool:
        """Return whether a row finished so recently that the package index need not be asked again."""
        with suppress(OSError):
            return time.time() - self._file(row).stat().st_mtime < _RECENT
        return False

    def depends(self, environment: Environment) -> str:
        """Return a digest of what the tests of a row depend on now, except for the files that they open elsewhere."""
        return self._depends(environment, self.project())

    def _depends(self, environment: Environment, project: str) -> str:
        variables = sorted((name, value) for name, value in os.environ.items() if name not in _OF_A_SHELL)
        machine = [*platform.uname()[:4], _processor(), os.cpu_count(), _gpus()]
        return _digest([environment.digest, project, variables, machine, _hub_models()])

    def find(self, row: Row, environment: Environment) -> RowResult | None:
        """Return the saved result of a row, which says so in its note; None if anything may have changed."""
        with suppress(OSError, ReportError, ValueError):  # a damaged name of a file
            saved = read_json(self._file(row), SavedRow)
            if saved.depends == self._depends(environment, self.begun) and all(
                stamp(Path(one[0])) == one for one in saved.opened
            ):
                said = f"not run again: nothing has changed since {saved.when}"
                return replace(saved.result, note="; ".join(filter(None, (saved.result.note, said))))
        return None

    def save(self, row: Row, depends: str, result: RowResult, opened: Sequence[tuple[str, int, int]]) -> None:
        """Save a row, or delete its saved result if the next run may give another one."""
        cells = result.cells.values()
        doubtful = any(cell.state in _DOUBTFUL and cell.known is None for cell in cells)
        if not result.complete or result.problem is not None or doubtful:
            self._file(row).unlink(missing_ok=True)
            return
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        write_atomically(self._file(row), encode(SavedRow(depends, tuple(opened), when, result)))

    def _file(self, row: Row) -> Path:
        return self.folder / f"{_digest([astuple(row), *self.identity])[:24]}.json"


def content(file: Path) -> tuple[Any, ...]:
    """Return a file with the digest of what it holds; a large one, or a pipe, with its time and size."""
    with suppress(OSError):
        return str(file), hashlib.sha256(read_bytes(file, largest=_READ_WHOLE)).hexdigest()
    return stamp(file)


def _processor() -> str:
    with suppress(OSError):
        lines = _CPU.read_text(encoding="utf-8", errors="replace").splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return platform.processor()


def _gpus() -> list[str]:
    """Return NVIDIA's driver and GPUs: a test on a device that is not there is skipped, until it is."""
    driver, found = Path("/proc/driver/nvidia"), list[str]()
    with suppress(OSError):
        found = [(driver / "version").read_text(encoding="utf-8", errors="replace")]
    return [*found, *sorted(str(path) for path in driver.glob("gpus/*"))]


def _hub_models() -> list[str]:
    """Return the downloaded models: a test of another one is skipped, until it is there."""
    variables = os.environ.get
    home = variables("HF_HOME") or f"{variables('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    named = [variables(name) for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")]
    caches = [expanded(os.path.expandvars(name)) for name in (f"{home}/hub", *named) if name]
    return sorted(str(path) for cache in caches for path in cache.glob("models--*/snapshots/*"))


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode(errors="surrogateescape")).hexdigest()
