"""What every kind's tables share: digits, sentences, and dataclasses as TOML tables or rows."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_hfmodels.snapshots.toml_reader import Reader

DIGITS = 9
T = TypeVar("T")
_TYPES = {"int": int, "float": float, "str": str}


def rounded(value: Any) -> Any:
    """Return a float with the digits that a snapshot keeps, a sequence as a list of such; anything else as it is."""
    if isinstance(value, tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def sentences(text: str) -> list[str]:
    """Split text after sentence ends and line ends, losing nothing: `"".join(sentences(text)) == text`."""
    return re.findall(r".+?(?:[.!?]+\s+|\n+|\Z)", text, flags=re.DOTALL)


def settings_table(effective: dict[str, Any]) -> dict[str, Any]:
    """Return settings without those that are None, which TOML does not have."""
    return {name: value for name, value in effective.items() if value is not None}


def as_table(value: Any, *names: str) -> dict[str, Any]:
    """Return these fields of a dataclass as a table."""
    return {name: rounded(getattr(value, name)) for name in names}


def from_table(kind: type[T], table: Reader, *names: str, **others: Any) -> T:
    """Return the dataclass that `as_table` has stored; `others` are fields that the table does not have.

    Raises:
        SnapshotError: a field is missing, or has another type than the dataclass says.
    """
    read = {
        "int": table.integer,
        "float": table.number,
        "str": table.string,
        "tuple[int, ...]": table.integers,
        "tuple[float, ...]": table.numbers,
        "tuple[str, ...]": table.strings,
    }
    types = _types(kind)
    return kind(**{name: read[types[name]](name) for name in names}, **others)


def as_rows(values: Iterable[Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return dataclasses of numbers and texts as one row each, below the names of their columns."""
    rows = [[rounded(getattr(value, field.name)) for field in fields(value)] for value in values]
    return {"columns": list(columns), "rows": rows}


def from_rows(kind: type[T], reader: Reader, name: str, columns: tuple[str, ...]) -> tuple[T, ...]:
    """Return the dataclasses that `as_rows` has stored.

    Raises:
        SnapshotError: the columns are others, or a value has another type than the dataclass says.
    """
    reader.require_columns(name, columns)
    types = tuple(_TYPES[one] for one in _types(kind).values())
    return tuple(kind(*row) for row in reader.rows(name, "rows", types))


def _types(kind: type[Any]) -> dict[str, str]:
    return {field.name: str(field.type) for field in fields(kind)}
