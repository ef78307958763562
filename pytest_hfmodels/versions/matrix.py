"""Prepares and runs rows, some at once. Every finished row is saved, so that an interrupted run can continue."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Protocol

from pytest_hfmodels.engines.threads import ROWS_VARIABLE
from pytest_hfmodels.foundation.errors import HFModelsError, VersionsError
from pytest_hfmodels.foundation.rootdir import project_root
from pytest_hfmodels.results.model import Source
from pytest_hfmodels.results.source import commit_of, source_of
from pytest_hfmodels.versions.environments import EnvironmentsBlocked, conflict, find_uv, prepare
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.installed import Installed, read_installed
from pytest_hfmodels.versions.last_grid import save_grid
from pytest_hfmodels.versions.results import INTERRUPTED, RowResult, opened_of, read_run
from pytest_hfmodels.versions.resume import SavedRun, fingerprint, interruptible
from pytest_hfmodels.versions.reuse import FinishedRows, content
from pytest_hfmodels.versions.row_plugin import DURATIONS_VARIABLE, SHARD_VARIABLE
from pytest_hfmodels.versions.running import TIMEOUT, Processes, added_options, check_arguments, run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.versions.environments import Environment
    from pytest_hfmodels.versions.rows import Row
    from pytest_hfmodels.versions.running import PytestRun
    from pytest_hfmodels.versions.shards import Shard


_PREPARED = 8  # rows whose environments are resolved at once, to see whether anything has changed


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
    command: str = ""  # runs all rows on one machine
    planned: tuple[str, ...] = ()  # the names of all rows, if other machines run some
    shard: Shard | None = None  # the share of the tests that runs here
    durations: Mapping[str, float] = field(default_factory=dict)  # seconds by test, for shards
    reuse: bool = False  # take rows of finished runs in which nothing can have changed


@dataclass(frozen=True)
class RowRunner:
    """Prepares and runs rows for one command."""

    saved: SavedRun
    installed: Installed  # rows stay close to it
    progress: Progress
    timeout: float
    processes: Processes
    shard: Shard | None = None
    durations: Mapping[str, float] = field(default_factory=dict)
    finished: FinishedRows | None = None  # where rows are saved beyond this command
    reuse: bool = False
    jobs: int = 1  # rows that test at once
    slots: Semaphore = field(default_factory=lambda: Semaphore(1))  # for as many rows

    @classmethod
    @contextmanager
    def open(
        cls,
        command: str,
        identity: Sequence[object],
        arguments: Sequence[str],
        requirements: Sequence[str],
        *,
        progress: Progress,
        timeout: float,
        restart: bool,
        installed: Installed | None = None,
        outputs: Sequence[Path] = (),
    ) -> Iterator[RowRunner]:
        """Open what an interrupted run of a command saved.

        Args:
            command: its name.
            identity: plain data; equal for equal commands.
            arguments: for pytest.
            requirements: of the rows.
            progress: told whether an interrupted run continues.
            timeout: seconds that a row's pytest may take.
            restart: start over in any case.
            installed: the current environment, if not this process's.
            outputs: files that the command writes.

        Raises:
            VersionsError: the same command is running already, its results cannot be saved, or an argument would
                update snapshots.
        """
        check_arguments(arguments)
        installed = installed or read_installed()
        state = fingerprint(arguments, installed, requirements, outputs)
        whole = [*identity, arguments, added_options(), timeout, str(Path.cwd())]
        with SavedRun.open(command, whole, state, restart=restart) as saved:
            if saved.message:
                progress.says(saved.message)
            yield cls(saved, installed, progress, timeout, Processes())

    def run(self, row: Row, arguments: Sequence[str], doing: str = "preparing") -> RowResult:
        """Return what the tests do in a row."""
        folder = self.saved.row_folder(row.name)
        self.progress.begins(row.name, doing)
        if self.reuse and (found := self._finished_recently(row, folder)):
            return found
        environment = prepare(row, self.installed, folder, self.processes)
        if self.finished is None:
            return read_run(row.name, self._tested(row, arguments, folder, environment), **self._about(environment))
        if self.reuse and (found := self.finished.find(row, environment)):
            return found
        depends = self.finished.depends(environment)
        run = self._tested(row, arguments, folder, environment)
        result = read_run(row.name, run, **self._about(environment))
        if self.finished.depends(environment) == depends:  # nobody has edited a file meanwhile
            self.finished.save(row, depends, result, opened_of(run))
        return result

    def _finished_recently(self, row: Row, folder: Path) -> RowResult | None:
        """Return the result of a row that needs no second look at the index, if its environment has not changed."""
        if self.finished is None or not row.pinned or not self.finished.is_recent(row):
            return None
        with suppress(VersionsError):  # uv's cache no longer has it
            environment = prepare(row, self.installed, folder, self.processes, offline=True)
            return self.finished.find(row, environment)
        return None

    def _tested(self, row: Row, arguments: Sequence[str], folder: Path, environment: Environment) -> PytestRun:
        with self.slots:
            self.progress.begins(row.name, "testing", folder / "events.jsonl")
            return run_pytest(
                environment.python,
                arguments,
                folder,
                timeout=self.timeout,
                processes=self.processes,
                variables={ROWS_VARIABLE: str(self.jobs), **dict(row.variables), **self._shard_variables(folder)},
            )

    def _about(self, environment: Environment) -> dict[str, Any]:
        found = {"versions": environment.versions, "moved": environment.moved, "note": environment.note}
        return {**found, "shard": str(self.shard or "")}

    def conflict(self, row: Row) -> str | None:
        """Return why there is no environment for a row; None if there is one, or if it cannot be determined now."""
        try:
            return conflict(row, self.installed, self.saved.row_folder(row.name) / "resolved", self.processes)
        except EnvironmentsBlocked:
            return None

    def _shard_variables(self, folder: Path) -> dict[str, str]:
        if self.shard is None:
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "durations.json").absolute()
        file.write_text(json.dumps(dict(self.durations)), encoding="utf-8")
        return {SHARD_VARIABLE: str(self.shard), DURATIONS_VARIABLE: str(file)}


def run_matrix(matrix: Matrix, progress: Progress, installed: Installed | None = None) -> Grid:
    """Run the tests in every row.

    A row that cannot be built, crashes or runs out of time is a part of the grid. An interrupt ends every process
    and returns the finished rows. Rows stay close to `installed`, by default the current environment. `last_grid` finds
    the grid again.

    Raises:
        VersionsError: nothing can run: rows cannot do what the arguments ask for, uv is missing, the same matrix is
            running already, or results cannot be saved.
    """
    if not all(row.current for row in matrix.rows):
        check_arguments(matrix.arguments)
        find_uv()
    requirements = [line for row in matrix.rows for line in row.requirements]
    opened = RowRunner.open(
        "matrix",
        [*map(astuple, matrix.rows), str(matrix.shard)],
        matrix.arguments,
        requirements,
        progress=progress,
        timeout=matrix.timeout,
        restart=matrix.restart,
        installed=installed,
        outputs=matrix.outputs,
    )
    with opened as runner:
        project = partial(fingerprint, matrix.arguments, runner.installed, requirements, matrix.outputs, of=content)
        runner = replace(
            runner,
            shard=matrix.shard,
            durations=matrix.durations,
            finished=FinishedRows(
                runner.saved.folder.parent / "finished",
                _shared(matrix),
                project,
                begun=project() if matrix.reuse else "",
            ),
            reuse=matrix.reuse,
            jobs=matrix.jobs,
            slots=Semaphore(matrix.jobs),
        )
        results, interrupted = _run_rows(matrix, runner)
        if not interrupted:
            runner.saved.finish()
        rows = tuple(results.get(row.name) or RowResult(row.name, problem=INTERRUPTED) for row in matrix.rows)
        source = source_of() or Source(commit=commit_of(project_root()))
        grid = Grid(
            rows,
            matrix.arguments,
            interrupted,
            command=matrix.command,
            planned=matrix.planned,
            commit=source.commit,
            run=source.run,
        )
        save_grid(project_root(), grid)
    return grid


def _shared(matrix: Matrix) -> list[object]:
    """Return what the rows of a command have in common, as plain data."""
    durations = sorted(matrix.durations.items()) if matrix.shard else []
    return [matrix.arguments, added_options(), str(matrix.shard), durations, str(Path.cwd())]


def _run_rows(matrix: Matrix, runner: RowRunner) -> tuple[dict[str, RowResult], bool]:
    """Return the results by row, and whether the run was interrupted."""
    pool, interrupted = ThreadPoolExecutor(max(matrix.jobs, _PREPARED if matrix.reuse else 1)), True
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
    parts = [", ".join(f"{count} {word}" for word, count in counts.items()), result.problem, result.note]
    return f"{'; '.join(part for part in parts if part)} ({result.seconds:.0f} s)"
