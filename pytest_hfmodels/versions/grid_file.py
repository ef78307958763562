"""A grid as a JSON file: the report of a run, and a part that `hfmodels merge` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_hfmodels.foundation.errors import VersionsError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.results.model import clean, finite
from pytest_hfmodels.versions.grid import Grid

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.versions.results import RowResult

FORMAT = 3  # 1 had other words for three states; 2 had the cells by test
T = TypeVar("T")
_AGAIN = "Write it again with the installed release: hfmodels matrix ROW --json FILE"
_WHOLE = ("exit_code", "complete")  # written also if they are false
LARGEST = 256_000_000  # bytes; ten thousand tests take a few million a row


def dump(grid: Grid) -> str:
    """Return the file's text: a line a test in each row. Fields that are empty are left out.

    A figure that is not finite is null: `NaN` is no JSON, and other programs refuse the file.
    """
    about = {
        "format": FORMAT,
        "command": grid.command,
        "commit": grid.commit,
        "run": grid.run,
        "arguments": list(grid.arguments),
        "planned": list(grid.planned),
        "interrupted": grid.interrupted,
        "exit_code": grid.exit_code,
        "since": grid.firsts,
    }
    head = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in about.items())
    rows = ",".join(f"\n{_row(row)}" for row in grid.rows)
    return clean(f'{{{head},\n"rows": [{rows}\n]}}\n')


def parse(content: bytes | str, name: str) -> Grid:
    """Return the grid that `dump` wrote.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        VersionsError: it is of another format, or no grid.
    """
    return convert(load(content, name), Grid, FORMAT, name)


def read(file: Path) -> Grid:
    """Read a grid.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is too large.
        VersionsError: see `parse`.
    """
    return parse(read_bytes(file, largest=LARGEST), file.name)


def load(content: bytes | str, name: str) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        VersionsError: it holds something else.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise VersionsError(f"{name} is not JSON: {error}.", hint=_AGAIN) from None
    if not isinstance(data, dict):
        raise VersionsError(f"{name} holds no grid.", hint=_AGAIN)
    return data


def convert(data: dict[str, Any], kind: type[T], wanted: int, name: str) -> T:
    """Return plain data of a format as objects.

    Raises:
        VersionsError: they are of another format, or a field does not fit.
    """
    import msgspec  # a heavy import

    found = data.get("format")
    if found != wanted:
        raise VersionsError(f"{name} has format {found!r:.20}; this release reads format {wanted}.", hint=_AGAIN)
    try:
        return msgspec.convert(data, kind)
    except (ValueError, RecursionError) as error:  # msgspec's errors name the field, and are ValueErrors
        raise VersionsError(f"{name} cannot be read: {error}.", hint=_AGAIN) from None


def _row(row: RowResult) -> str:
    data = _plain(row)
    data.pop("log", None)  # a path of this machine
    cells = ",".join(
        f"\n {json.dumps(test)}: {json.dumps(_cell(cell))}" for test, cell in data.pop("cells", {}).items()
    )
    data["seconds"] = _seconds(data)
    return f'{json.dumps(data)[:-1]}, "cells": {{{cells}}}}}'


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in cell.items() if value}
    return {**found, "seconds": _seconds(cell)}


def _seconds(data: dict[str, Any]) -> float:
    """Return the seconds of plain data; 0 if a part from elsewhere has none, or a number that is not finite."""
    return round(data.get("seconds") or 0.0, 3)


def _plain(row: RowResult) -> dict[str, Any]:
    import msgspec  # a heavy import

    return {name: value for name, value in finite(msgspec.to_builtins(row)).items() if value or name in _WHOLE}
