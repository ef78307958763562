"""Edits every value of a snapshot file, one at a time. No edit may stay green."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit

from pytest_hfmodels import SnapshotError
from pytest_hfmodels.snapshots import Tolerance, Verdict, compare, dump, load

from ..example_records import beams, classification, generation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds import Record

Trail = tuple[str | int, ...]
# Fails nothing: who recorded the file, and on which checkpoint. Each has another value after every upgrade.
SURROUNDINGS = ("provenance", "checkpoint")
# Fails nothing: evidence, which an explanation reads after something else has failed. A runner-up may change with
# rounding, and a gap or a fingerprint has no tolerance.
EVIDENCE = ("frontier", "forward")
RUNNER_UP = (5, 6)  # columns of steps.rows


def values(found: Any, trail: Trail = ()) -> Iterator[tuple[Trail, Any]]:
    """Yield every value of a parsed file that decides about a verdict."""
    if isinstance(found, dict | list):
        for name, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield from values(value, (*trail, name))
    elif trail[0] not in (*SURROUNDINGS, *EVIDENCE) and not (trail[:2] == ("steps", "rows") and trail[3] in RUNNER_UP):
        yield trail, found


def edited(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else value + 1


def is_green(text: str, record: Record) -> bool:
    """Return whether the file can be read and agrees with the record."""
    try:
        recorded = load(text, Path("a.toml"))
    except SnapshotError:
        return False
    return compare(recorded, record, Tolerance(0.125)).verdict is Verdict.SAME


@pytest.mark.parametrize("record", [generation(), beams(), classification()], ids=["greedy", "beams", "classification"])
def test_no_edit_of_a_recorded_value_stays_green(record: Record) -> None:
    whole = tomllib.loads(dump(record))
    assert is_green(tomlkit.dumps(whole), record)

    green = []
    for trail, value in values(whole):
        changed = copy.deepcopy(whole)
        place: Any = changed
        for name in trail[:-1]:
            place = place[name]
        place[trail[-1]] = edited(value)
        if is_green(tomlkit.dumps(changed), record):
            green.append(trail)

    assert green == []
