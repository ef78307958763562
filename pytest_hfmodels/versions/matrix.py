"""Rows prepared and run, some at once; every finished one is kept, so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_hfmodels.errors import HFModelsError, VersionsError
from pytest_hfmodels.files import write_atomically
from pytest_hfmodels.versions import environments
from pytest_hfmodels.versions.grid import UNRUN, Grid
from pytest_hfmodels.versions.installed import INSTALL_HINT, read_installed
from pytest_hfmodels.versions.processes import Processes, Stopped
from pytest_hfmodels.versions.results import RowResult, read_run
from pytest_hfmodels.versions.rows import requirement_path
from pytest_hfmodels.versions.running import TIMEOUT, refuse_updates, run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.versions.installed import Installed
    from pytest_hfmodels.versions.rows import Row

_INI_FILES = ("pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py")


class Progress(Protocol):
    """Hears what happens; from several threads."""

    def says(self, text: str) -> None:
        """Something about the whole run."""

    def begins(self, row: str, doing: str, events: Path | None = None) -> None:
        """A row begins something; `events` is where its tests are counted."""

    def ends(self, row: str, text: str) -> None:
        """A row is done."""


@dataclass(frozen=True)
class Matrix:
    """What to run.

    Args:
        rows: in the order of the grid.
        arguments: for pytest.
        jobs: how many rows run at once.
        timeout: seconds that a row's pytest may take.
        restart: whether what an interrupted run has finished is run again.
        outputs: files that this command writes; that they change says nothing of the tests.
    """

    rows: tuple[Row, ...]
    arguments: tuple[str, ...] = ()
    jobs: int = 1
    timeout: float = TIMEOUT
    restart: bool = False
    outputs: tuple[Path, ...] = ()


def run_matrix(matrix: Matrix, progress: Progress, installed: Installed | None = None) -> Grid:
    """Run the tests in every row.

    A row that cannot be built, crashes or runs out of time is a part of the grid. An interrupt ends every process
    and returns what is done.

    Args:
        matrix: what to run.
        progress: hears how it goes.
        installed: what rows hold to, instead of the current environment.

    Raises:
        VersionsError: nothing can be run: the arguments ask for an update, there is no uv to build a row with, the
            same matrix runs already, or what is finished cannot be kept.
    """
    refuse_updates(matrix.arguments)
    installed = installed or read_installed()
    _check_tools(matrix, installed)
    try:
        with _Kept.locked(matrix, installed) as kept:
            return _run(matrix, progress, installed, kept)
    except OSError as error:
        raise VersionsError(
            f"What rows leave cannot be kept below {_state_folder(matrix)}: {error}.",
            hint="Make room there, or let the folder be written to.",
        ) from error


def project_root(start: Path | None = None) -> Path:
    """Return the nearest folder that has a file which pytest is configured in, or else where we are."""
    start = start or Path.cwd()
    return next(
        (path for path in (start, *start.parents) if any((path / name).is_file() for name in _INI_FILES)), start
    )


def _run(matrix: Matrix, progress: Progress, installed: Installed, kept: _Kept) -> Grid:
    if kept.results:
        progress.says(
            f"Going on with an interrupted run: {len(kept.results)} of {len(matrix.rows)} rows are done "
            "(--restart runs them again)."
        )
    processes = Processes()
    work = _Work(matrix, progress, installed, kept, processes)
    interrupted = False
    pool = ThreadPoolExecutor(matrix.jobs)
    futures = [pool.submit(work.row, row) for row in matrix.rows]
    try:
        with _terminations():
            _wait(futures)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for future in futures:
            future.cancel()
        if interrupted or any(future.done() and not future.cancelled() and future.exception() for future in futures):
            processes.stop()
        pool.shutdown()
    done = {row.name: row for future in futures if (row := _result(future)) is not None}
    if not interrupted:
        kept.finish()
    rows = tuple(done.get(row.name) or RowResult(row.name, problem=UNRUN) for row in matrix.rows)
    return Grid(rows, matrix.arguments, interrupted)


def _wait(futures: Sequence[Future[RowResult]]) -> None:
    """Wait for all, or for the first that cannot go on."""
    waiting = set(futures)
    while waiting:
        # The time-out lets an interrupt through on every platform.
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _result(future: Future[RowResult]) -> RowResult | None:
    if future.cancelled() or isinstance(future.exception(), Stopped):
        return None
    return future.result()


@dataclass(frozen=True)
class _Work:
    matrix: Matrix
    progress: Progress
    installed: Installed
    kept: _Kept
    processes: Processes

    def row(self, row: Row) -> RowResult:
        """Prepare and run a row, or take what an interrupted run left of it."""
        self.progress.begins(row.name, "preparing")
        try:
            environment = environments.prepare(row, self.installed, self.processes)
        except environments.UvMissing:
            raise
        except HFModelsError as error:
            # Not kept: the next run tries again.
            self.progress.ends(row.name, str(error))
            return RowResult(row.name, problem=error.message)
        result = self.kept.results.get(row.name)
        if result is not None and result.environment == environment.key:
            self.progress.ends(row.name, "done in an earlier run")
            return result
        if environment.fresh:
            self.progress.begins(row.name, f"built in {environment.seconds:.0f} s")
        result = self._run(row, environment)
        self.kept.save(result)
        self.progress.ends(row.name, _outcome(result))
        return result

    def _run(self, row: Row, environment: environments.Environment) -> RowResult:
        folder = self.kept.row_folder(row.name)
        self.progress.begins(row.name, "testing", folder / "events.jsonl")
        run = run_pytest(
            environment.python,
            self.matrix.arguments,
            folder,
            timeout=self.matrix.timeout,
            processes=self.processes,
        )
        return read_run(
            row.name,
            run,
            versions=environment.versions,
            moved=environment.moved,
            note=environment.note,
            environment=environment.key,
        )


def _outcome(result: RowResult) -> str:
    counts: dict[str, int] = {}
    for cell in result.cells.values():
        counts[cell.state] = counts.get(cell.state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return "; ".join(part for part in (told, result.problem) if part) + f" ({result.seconds:.0f} s)"


# -- what must be there ----------------------------------------------------------------------------------------------


def _check_tools(matrix: Matrix, installed: Installed) -> None:
    if not all(environments.is_kept(row, installed) for row in matrix.rows):
        environments.find_uv()
    if any(row.current for row in matrix.rows):
        try:
            version("pytest-reportlog")
        except PackageNotFoundError:
            raise VersionsError(
                "The current environment cannot be a row: pytest-reportlog is not installed in it.",
                hint=INSTALL_HINT,
            ) from None


# -- what an interrupted run left ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kept:
    """The folder of one command: which rows are done, and what they left.

    Args:
        folder: where.
        results: rows that an interrupted run finished, by name.
    """

    folder: Path
    results: dict[str, RowResult] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def locked(cls, matrix: Matrix, installed: Installed) -> Iterator[_Kept]:
        """Open the folder of this command for this process alone."""
        from filelock import FileLock, Timeout

        folder = _state_folder(matrix)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder.parent / ".gitignore", "*\n")
        try:
            with FileLock(folder / "lock", timeout=0):
                yield cls._opened(folder, matrix, _fingerprint(matrix, installed))
        except Timeout:
            raise VersionsError("The same matrix is running already.", hint="Wait for it, or end it.") from None

    @classmethod
    def _opened(cls, folder: Path, matrix: Matrix, fingerprint: str) -> _Kept:
        kept = cls(folder)
        state = _read_json(folder / "run.json")
        names = [row.name for row in matrix.rows]
        if state == {"fingerprint": fingerprint, "finished": False} and not matrix.restart:
            for name in names:
                data = _read_json(kept.row_folder(name) / "result.json")
                if isinstance(data, dict):
                    try:
                        kept.results[name] = RowResult.from_data(data)
                    except (KeyError, TypeError, ValueError):
                        continue  # of another release of ours: run it again
        else:
            for name in names:
                (kept.row_folder(name) / "result.json").unlink(missing_ok=True)
        write_atomically(folder / "run.json", json.dumps({"fingerprint": fingerprint, "finished": False}))
        return kept

    def row_folder(self, name: str) -> Path:
        """Return where a row's files go."""
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[-60:]
        return self.folder / f"{readable}-{_digest(name)[:8]}"

    def save(self, result: RowResult) -> None:
        """Keep a finished row."""
        write_atomically(self.row_folder(result.name) / "result.json", json.dumps(result.to_data()))

    def finish(self) -> None:
        """Say that the next run starts from the beginning."""
        state = _read_json(self.folder / "run.json")
        if isinstance(state, dict):
            write_atomically(self.folder / "run.json", json.dumps({**state, "finished": True}))


def _state_folder(matrix: Matrix) -> Path:
    command = [[row.name, row.requirements, row.without] for row in matrix.rows], matrix.arguments, str(Path.cwd())
    return project_root() / ".pytest_cache" / "hfmodels" / "matrix" / _digest(json.dumps(command))[:16]


def _fingerprint(matrix: Matrix, installed: Installed) -> str:
    """Return what changes when a row could come out differently: the project's files, and those installed editable."""
    root = project_root()
    named = [Path(argument.partition("::")[0]) for argument in matrix.arguments if not argument.startswith("-")]
    trees = [path for line in installed.wanted.values() if line.startswith("-e ") and (path := requirement_path(line))]
    folders = [root, *(path for path in (*named, *trees) if path.exists() and root not in path.absolute().parents)]
    outputs = {path.absolute() for path in matrix.outputs}
    files = {
        path.absolute(): None
        for folder in folders
        for path in ([folder] if folder.is_file() else environments.source_files(folder))
    }
    stamps = [[str(path), *environments.file_stamp(path)] for path in files if path not in outputs]
    return _digest(json.dumps([stamps, matrix.timeout]))


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _terminations() -> Iterator[None]:
    """Let what ends this process end the rows' too: they have process groups of their own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
