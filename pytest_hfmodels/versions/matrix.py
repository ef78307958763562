"""Rows prepared and run, some at once; every finished one is kept, so that an interrupted run goes on."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_hfmodels.errors import HFModelsError, VersionsError
from pytest_hfmodels.versions import environments
from pytest_hfmodels.versions.grid import UNRUN, Grid
from pytest_hfmodels.versions.installed import INSTALL_HINT, read_installed
from pytest_hfmodels.versions.processes import Processes, Stopped
from pytest_hfmodels.versions.results import RowResult, read_run
from pytest_hfmodels.versions.resume import BEGINS_AGAIN, Kept, fingerprint, interruptible
from pytest_hfmodels.versions.running import TIMEOUT, added_options, check_arguments, run_pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.versions.installed import Installed
    from pytest_hfmodels.versions.rows import Row


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
        VersionsError: nothing can be run: the arguments ask for what rows cannot do, there is no uv to build a row
            with, the same matrix runs already, or what is finished cannot be kept.
    """
    check_arguments(matrix.arguments)
    installed = installed or read_installed()
    _check_tools(matrix, installed)
    requirements = [line for row in matrix.rows for line in row.requirements]
    state = fingerprint(matrix.arguments, installed, matrix.outputs, requirements)
    with Kept.locked("matrix", _identity(matrix), state, restart=matrix.restart) as kept:
        return _run(matrix, progress, installed, kept)


def _identity(matrix: Matrix) -> list[object]:
    rows = [[row.name, row.requirements, row.without] for row in matrix.rows]
    return [rows, matrix.arguments, added_options(), matrix.timeout, str(Path.cwd())]


def _run(matrix: Matrix, progress: Progress, installed: Installed, kept: Kept) -> Grid:
    done = sum(kept.result(row.name) is not None for row in matrix.rows)
    if kept.void:
        progress.says(BEGINS_AGAIN)
    elif done:
        progress.says(
            f"Going on with an interrupted run: {done} of {len(matrix.rows)} rows are done (--restart runs them again)."
        )
    processes = Processes()
    work = _Work(matrix, progress, installed, kept, processes)
    interrupted = False
    pool = ThreadPoolExecutor(matrix.jobs)
    futures = [pool.submit(work.row, row) for row in matrix.rows]
    try:
        with interruptible():
            _wait(futures)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for future in futures:
            future.cancel()
        if interrupted or any(future.done() and not future.cancelled() and future.exception() for future in futures):
            processes.stop()
        pool.shutdown()
    results = {row.name: row for future in futures if (row := _result(future)) is not None}
    if not interrupted:
        kept.finish()
    rows = tuple(results.get(row.name) or RowResult(row.name, problem=UNRUN) for row in matrix.rows)
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
    kept: Kept
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
            said = isinstance(error, environments.NoSuchRelease)  # below the grid, in the same few words
            self.progress.ends(row.name, "there is no such release" if said else str(error))
            return RowResult(row.name, problem=error.message)
        result = self.kept.result(row.name)
        if result is not None and result.environment == environment.key:
            self.progress.ends(row.name, "done in an earlier run")
            return result
        if environment.fresh:
            self.progress.begins(row.name, f"built in {environment.seconds:.0f} s")
        result = self._run(row, environment)
        self.kept.keep(row.name, result.to_data())
        self.progress.ends(row.name, _outcome(result))
        return result

    def _run(self, row: Row, environment: environments.Environment) -> RowResult:
        folder = self.kept.place(row.name)
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
        word = str(cell.state) if cell.known is None else f"{cell.state} as known"
        counts[word] = counts.get(word, 0) + 1
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
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
