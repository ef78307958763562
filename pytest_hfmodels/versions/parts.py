"""Puts the parts of one run together: grids of some rows or shards, and reports of a plain pytest run."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.results.model import FORMAT as RESULTS_FORMAT
from pytest_hfmodels.results.model import Results, Source
from pytest_hfmodels.versions import grid_file
from pytest_hfmodels.versions.grid import Grid
from pytest_hfmodels.versions.results import (
    GAVE_UP,
    NO_PART,
    Cell,
    RowResult,
    State,
    cells_of,
    differing_of,
    pending_of,
)
from pytest_hfmodels.versions.rows import CURRENT
from pytest_hfmodels.versions.shards import Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_NAMED = 10  # missing shards
# What a row of plain pytest is called after, if it differs between the parts.
_NAMING = ("transformers", "torch", "tensorflow", "python", "tokenizers", "numpy", "safetensors", "huggingface-hub")


def read_parts(typed: Sequence[str]) -> dict[str, Grid]:
    """Read parts, and return them by file.

    Args:
        typed: files, folders (every JSON file below), or `NAME=FILE` for a row of another name.

    Raises:
        VersionsError: no part was found, a part cannot be read, or a file was given two names.
    """
    named: dict[str, str] = {}
    for file, name in _files(typed):
        if named.setdefault(file, name) != name:
            raise VersionsError(f"{file} is named twice.", hint="Give each part one name, or none.")
    if not named:
        raise VersionsError(f"There are no parts in {' '.join(typed)}.", hint="Name the files of the jobs' --json.")
    grids: dict[str, Grid] = {}
    plain: dict[str, Results] = {}
    for file in named:
        data = _load(file)
        if "rows" in data or "run" not in data or isinstance(data["run"], str):
            grids[file] = grid_file.convert(data, Grid, grid_file.FORMAT, file)
        else:
            plain[file] = grid_file.convert(data, Results, RESULTS_FORMAT, file)
    names = {**row_names(plain), **{file: name for file, name in named.items() if name}}
    found = {**grids, **{file: _of_results(results, names[file]) for file, results in plain.items()}}
    return {file: found[file] for file in named}


def merge(parts: Mapping[str, Grid]) -> Grid:
    """Return the grid of a whole run: what one machine would have given, but for times.

    A row without a part is a column that says so, and so are the tests of a missing shard.

    Args:
        parts: by file.

    Raises:
        VersionsError: they are not of one run: another commit, other tests, a row or shard twice.
    """
    _require_one({file: part.commit[:12] for file, part in parts.items()}, "commits")
    _require_one({file: " ".join(part.arguments) for file, part in parts.items()}, "tests")
    rows: dict[str, dict[str, RowResult]] = {
        name: {} for part in parts.values() for name in (part.planned or [row.name for row in part.rows])
    }
    for file, part in parts.items():
        for row in part.rows:
            rows.setdefault(row.name, {})[file] = row
    runs = {file: part.run for file, part in parts.items()}
    merged = tuple(_row(name, found, runs) for name, found in rows.items())
    _require_one(runs, "runs")
    first = next(iter(parts.values()))
    return Grid(
        merged,
        first.arguments,
        any(part.interrupted for part in parts.values()),
        command=first.command,
        planned=tuple(rows) if first.planned else (),
        commit=first.commit,
        run=first.run,
    )


def read_durations(file: str) -> dict[str, float]:
    """Return the seconds of each test in a report: the mean of the rows where it ran.

    Raises:
        VersionsError: the report cannot be read.
    """
    (grid,) = read_parts([file]).values()
    found: dict[str, list[float]] = {}
    for row in grid.rows:
        for test, cell in row.cells.items():
            if cell.state not in (State.NOT_RUN, State.BUILD_FAILED):
                found.setdefault(test, []).append(cell.seconds)
    return {test: fmean(seconds) for test, seconds in found.items()}


def row_names(plain: Mapping[str, Results]) -> dict[str, str]:
    """Return names for the rows of plain pytest runs: the fewest packages whose versions tell them apart."""
    versions = {file: results.run.versions for file, results in plain.items()}
    chosen: list[str] = []
    for package in _NAMING:
        if len(_told(versions, [*chosen, package])) > len(_told(versions, chosen)):
            chosen.append(package)
    return {
        file: ", ".join(f"{name}=={found[name]}" for name in chosen if name in found) or CURRENT
        for file, found in versions.items()
    }


def _told(versions: Mapping[str, Mapping[str, str]], packages: Sequence[str]) -> set[tuple[str | None, ...]]:
    return {tuple(found.get(name) for name in packages) for found in versions.values()}


def _files(typed: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield files, each with the name of its row or an empty string."""
    for text in typed:
        name, separator, rest = text.rpartition("=")
        named = bool(separator) and not Path(text).exists()
        path = Path(rest if named else text)
        if path.is_dir():
            yield from ((str(file), "") for file in sorted(path.rglob("*.json")))
        else:
            yield str(path), name if named else ""


def _load(file: str) -> dict[str, object]:
    try:
        content = read_bytes(Path(file), largest=grid_file.LARGEST)
    except OSError as error:
        raise VersionsError(
            f"The part {file} cannot be read: {error.strerror or error}.", hint="Name the files of the jobs' --json."
        ) from None
    return grid_file.load(content, file)


def _of_results(results: Results, name: str) -> Grid:
    """Return the grid of a plain pytest run, which has one row."""
    run = results.run
    problem = run.stopped or _unseen(results)
    versions = {str(canonicalize_name(package)): version for package, version in run.versions.items()}
    row = RowResult(
        name,
        versions,
        cells=cells_of(results.tests),
        problem=problem,
        seconds=run.seconds,
        exit_code=run.exit_status,
        complete=problem is None,
        pending=pending_of(results.tests),
        differing=differing_of(results.tests),
    )
    source = run.source or Source()
    return Grid((row,), commit=source.commit, run=source.run)


def _unseen(results: Results) -> str | None:
    """Return why a report may not have all that failed: it has the tests that use this plugin."""
    status = results.run.exit_status
    if status in GAVE_UP or (status and not any(test.failed for test in results.tests)):
        return f"pytest ended with exit code {status}, and the report does not have what failed"
    return None


def _require_one(values: Mapping[str, str], what: str) -> None:
    """Refuse parts that differ; an empty value is unknown."""
    found = {value: file for file, value in values.items() if value}
    if len(found) > 1:
        listed = ", ".join(f"{value} ({file})" for value, file in found.items())
        raise VersionsError(f"The parts are of different {what}: {listed}.", hint="Merge the parts of one run.")


def _row(name: str, found: Mapping[str, RowResult], runs: Mapping[str, str]) -> RowResult:
    """Return a row from its parts, by file: the whole row, or its shards."""
    if not found:
        return RowResult(name, problem=NO_PART)
    by_shard: dict[str, str] = {}
    for file, row in found.items():
        other = by_shard.setdefault(row.shard, file)
        if other != file:
            what = f"Shard {row.shard} of {name}" if row.shard else f"The row {name}"
            several = "parts of two runs" if runs[file] != runs[other] else "two parts"
            raise VersionsError(
                f"{what} is in {several}: {other} and {file}.", hint="Merge one of them, or name the rows: NAME=FILE."
            )
    rows = list(found.values())
    for file, row in found.items():
        if row.shard and not Shard.is_valid(row.shard):
            raise VersionsError(f"{file} names the shard {row.shard!r:.40}.", hint="Let its job write it again.")
    if len(rows) == 1 and not rows[0].shard:
        return rows[0]
    counts = {row.shard.partition("/")[2] for row in rows}
    if len(counts) > 1:
        raise VersionsError(
            f"{name} is cut into different numbers of shards: {', '.join(row.shard or 'none' for row in rows)}.",
            hint="Merge the shards of one run.",
        )
    return _of_shards(name, sorted(rows, key=lambda row: int(row.shard.partition("/")[0])), int(counts.pop()))


def _of_shards(name: str, rows: Sequence[RowResult], count: int) -> RowResult:
    """Return the row that its shards make, with the tests in the order of collection."""
    _require_same_packages(name, rows)
    collected = dict.fromkeys(chain.from_iterable(row.collected for row in rows))
    given = {row.shard for row in rows}
    missing = [shard for number in range(1, count + 1) if (shard := f"{number}/{count}") not in given]
    problem = _problem(rows, missing)
    return RowResult(
        name,
        rows[0].versions,
        rows[0].moved,
        cells=_in_order(collected, _cells(name, rows, collected), problem),
        problem=problem,
        note=next((row.note for row in rows if row.note), ""),
        seconds=sum(row.seconds for row in rows),
        exit_code=max((row.exit_code for row in rows if row.exit_code is not None), key=abs, default=None),
        complete=not missing and all(row.complete for row in rows),
        pending=tuple(sorted(chain.from_iterable(row.pending for row in rows), key=lambda one: one.snapshot)),
        differing=differing_of(chain.from_iterable(row.differing for row in rows)),
    )


def _require_same_packages(name: str, rows: Sequence[RowResult]) -> None:
    if len({tuple(sorted(row.versions.items())) for row in rows}) > 1:
        raise VersionsError(
            f"The shards of {name} have different packages installed.", hint="Pin the versions, and run the row again."
        )


def _problem(rows: Sequence[RowResult], missing: Sequence[str]) -> str | None:
    named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else "")
    problems = [f"no part of shard {named} was given"] if missing else []
    problems += [f"shard {row.shard}: {row.problem}" for row in rows if row.problem]
    return "; ".join(problems) or None


def _cells(name: str, rows: Sequence[RowResult], collected: Mapping[str, None]) -> dict[str, Cell]:
    """Return the cells of all shards.

    Raises:
        VersionsError: a test ran in two of them.
    """
    ran: dict[str, Cell] = {}
    for row in rows:
        if twice := [test for test in row.cells if test in collected and test in ran]:
            raise VersionsError(
                f"{twice[0]} ran in two shards of {name}, which were cut with different durations.",
                hint="Give every shard the same --durations.",
            )
        ran |= {test: cell for test, cell in row.cells.items() if test not in ran}
    return ran


def _in_order(collected: Mapping[str, None], ran: Mapping[str, Cell], problem: str | None) -> dict[str, Cell]:
    unrun = Cell(
        State.NOT_RUN, f"did not run: {problem or 'it was in no shard: they were cut with different durations'}"
    )
    return {**{test: ran.get(test, unrun) for test in collected}, **ran}
