"""Prepares and runs rows, some at once. Every finished row is saved, so that an interrupted run can continue."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.versions.environments import find_uv, prepare
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.installed import Installed, read_installed
from pytest_hfmodels.versions.last_grid import save_grid
from pytest_hfmodels.versions.results import INTERRUPTED, RowResult, read_run
from pytest_hfmodels.versions.resume import SavedRun, fingerprint, interruptible
from pytest_hfmodels.versions.running import TIMEOUT, Processes, added_options, check_arguments, run_pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.versions.rows import Row


class Progress(Protocol):
    """Shows what happens; called from several threads."""

    def says(self, text: str) -> None:
        """Show a message about the whole run."""

    def begins(self, row: str, doing: str, events: Path | None = None) -> None:
        """Show the present step of a row; its tests are counted in `events`."""

    def ends(self, row: str, text: str) -> None:
        """Show that a row is done."""


@dataclass(frozen=True)
class Matrix:
    """The rows to run, and how."""

    rows: tuple[Row, ...]
    arguments: tuple[str, ...] = ()  # for pytest
    jobs: int = 1  # rows at once
    timeout: float = TIMEOUT  # seconds that a row's pytest may take
    restart: bool = False  # run again what an interrupted run has finished
    outputs: tuple[Path, ...] = ()  # files that this command writes


@dataclass(frozen=True)
class RowRunner:
    """Prepares and runs rows for one command."""

    saved: SavedRun
    installed: Installed  # rows stay close to it
    progress: Progress
    timeout: float
    processes: Processes

    def run(self, row: Row, arguments: Sequence[str], doing: str = "preparing") -> RowResult:
        """Return what the tests do in a row."""
        folder = self.saved.row_folder(row.name)
        self.progress.begins(row.name, doing)
        environment = prepare(row, self.installed, folder, self.processes)
        self.progress.begins(row.name, "testing", folder / "events.jsonl")
        run = run_pytest(environment.python, arguments, folder, timeout=self.timeout, processes=self.processes)
        return read_run(row.name, run, versions=environment.versions, moved=environment.moved, note=environment.note)


def run_matrix(matrix: Matrix, progress: Progress, installed: Installed | None = None) -> Grid:
    """Run the tests in every row.

    A row that cannot be built, crashes or runs out of time is a part of the grid. An interrupt ends every process
    and returns the finished rows. Rows stay close to `installed`, by default the current environment. `last_grid` finds
    the grid again.

    Raises:
        VersionsError: nothing can run: rows cannot do what the arguments ask for, uv is missing, the same matrix is
            running already, or results cannot be saved.
    """
    check_arguments(matrix.arguments)
    if not all(row.current for row in matrix.rows):
        find_uv()
    installed = installed or read_installed()
    identity = [*map(astuple, matrix.rows), matrix.arguments, added_options(), matrix.timeout, str(Path.cwd())]
    requirements = [line for row in matrix.rows for line in row.requirements]
    state = fingerprint(matrix.arguments, installed, requirements, matrix.outputs)
    with SavedRun.open("matrix", identity, state, restart=matrix.restart) as saved:
        if saved.message:
            progress.says(saved.message)
        runner = RowRunner(saved, installed, progress, matrix.timeout, Processes())
        results, interrupted = _run_rows(matrix, runner)
        if not interrupted:
            saved.finish()
        rows = tuple(results.get(row.name) or RowResult(row.name, problem=INTERRUPTED) for row in matrix.rows)
        grid = Grid(rows, matrix.arguments, interrupted)
        save_grid(project_root(), grid)
    return grid


def _run_rows(matrix: Matrix, runner: RowRunner) -> tuple[dict[str, RowResult], bool]:
    """Return the results by row, and whether the run was interrupted."""
    pool, interrupted = ThreadPoolExecutor(matrix.jobs), True
    futures = {row.name: pool.submit(_run_row, row, matrix.arguments, runner) for row in matrix.rows}
    try:
        with interruptible():
            for future in as_completed(futures.values()):
                future.result()
        interrupted = False
    except KeyboardInterrupt:
        pass
    finally:
        if interrupted:
            runner.processes.stop()
        pool.shutdown(cancel_futures=True)
    done = {name: future for name, future in futures.items() if not future.cancelled() and not future.exception()}
    return {name: future.result() for name, future in done.items()}, interrupted


def _run_row(row: Row, arguments: Sequence[str], runner: RowRunner) -> RowResult:
    """Run a row, unless an interrupted run has finished it."""
    result = runner.saved.result(row.name)
    if result is not None:
        runner.progress.ends(row.name, "finished in the interrupted run")
        return result
    try:
        result = runner.run(row, arguments)
    except HFModelsError as error:  # not saved: the next run tries again
        runner.progress.ends(row.name, f"{error.message}\n{error.hint}")
        return RowResult(row.name, problem=error.message)
    runner.saved.save(result)
    runner.progress.ends(row.name, _outcome(result))
    return result


def _outcome(result: RowResult) -> str:
    counts = Counter(f"{cell.state}{'' if cell.known is None else ' as known'}" for cell in result.cells.values())
    parts = [", ".join(f"{count} {word}" for word, count in counts.items()), result.problem]
    return f"{'; '.join(part for part in parts if part)} ({result.seconds:.0f} s)"
