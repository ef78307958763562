"""A plain value, taken apart into rows: one for each container and for each value in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.kinds.arrays import Array, is_array, is_scalar
from pytest_hfmodels.kinds.base import Record
from pytest_hfmodels.kinds.provenance import NO_CHECKPOINT, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = "value"  # the name of an array that is the whole value
NUMBERS = "list of numbers"
_LISTS = ("list", "tuple", "set", "frozenset")
_DEEPEST = 100
_MOST = 10_000
_FEW = 8  # numbers of a list that have a row each
_AXES = 32  # that an array can have in every release of NumPy
_SAY = "Compare what it holds: texts, numbers, arrays, and lists, tuples, dicts or dataclasses of them."


class Row(NamedTuple):
    """One value, or a container.

    Args:
        path: how to reach it from the whole, such as `[0].score`; empty for the whole.
        type: the name of its type; `list of numbers` for a longer one, which is recorded as an array.
        value: the value itself; the length of a container; an integer of more than 64 bits as digits; the name of an
            enumeration's member, whose value has a row below; "" for None and for an array, which stands among the
            record's arrays by its path.
    """

    path: str
    type: str
    value: str | int | float | bool


@dataclass(frozen=True, kw_only=True, repr=False)
class ValuesRecord(Record):
    """A plain value that a test compares with `hf_snapshot`. For the other fields see `Record`.

    Args:
        rows: the whole first, then what it holds.
    """

    kind: ClassVar[str] = "values"
    rows: tuple[Row, ...]

    @cached_property
    def scales(self) -> dict[str, str]:
        """The path of each value, with `[]` for an index: the numbers of a list share a scale.

        The values of a dict do not, even if a key is `[0]`.
        """
        found: dict[str, str] = {}
        above: list[Row] = []
        for row in self.rows:
            while above and not row.path.startswith((f"{above[-1].path}.", f"{above[-1].path}[")) and above[-1].path:
                above.pop()
            before = above[-1] if above else None
            if before is None:
                found[row.path] = row.path
            else:
                own = "[]" if before.type in _LISTS else row.path.removeprefix(before.path)
                found[row.path] = found[before.path] + own
            above.append(row)
        return {named(path): scale for path, scale in found.items()}

    def __repr__(self) -> str:
        return f"<ValuesRecord of a {self.rows[0].type}>"


def observe_values(value: Any, engine: str | None = None) -> ValuesRecord:
    """Return a plain value as a record.

    Args:
        value: texts, numbers, arrays and tensors, and containers of them.
        engine: the engine that the test runs on, or None for that of a tensor in the value.

    Raises:
        SnapshotError: a part of it cannot be recorded; the message begins with its path.
    """
    found = _Parts()
    found.add("", value)
    return ValuesRecord(
        provenance=Provenance.of_values(engine or found.engine, _finest(found.arrays, found.rows)),
        checkpoint=NO_CHECKPOINT,
        rows=tuple(found.rows),
        arrays=found.arrays,
    )


def named(path: str) -> str:
    """Return a path for a reader."""
    return path or "the value"


class _Parts:
    """The rows and arrays of a value, gathered from the outside in."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.arrays: dict[str, Array] = {}
        self.engine: str | None = None
        self._above: list[int] = []  # the containers around the part that is being added

    def add(self, path: str, value: Any) -> None:
        value = value.item() if is_scalar(value) else value
        scalar = _scalar(path, value)
        if scalar is not None:
            self._append(scalar)
            if isinstance(value, Enum) and _is_plain(value.value):  # two enumerations may have one name
                self.add(_key(path, "value"), value.value)
        elif is_array(value):
            self._add_array(path, type(value).__name__, value)
            self.engine = self.engine or _engine_of(value)
        else:
            numbers = _numbers(value)
            if numbers is None:
                self._add_parts(path, value)
            else:
                self._add_array(path, NUMBERS, numbers)

    def _append(self, row: Row) -> None:
        if len(self.rows) == _MOST:
            what = f"the value holds more than {_MOST:,} parts, up to {named(row.path)}"
            raise SnapshotError(f"{what}.", hint="Compare the parts that matter, or an array of the numbers.")
        self.rows.append(row)

    def _add_array(self, path: str, kind: str, value: Any) -> None:
        self._append(Row(path, kind, ""))
        self.arrays[path or ROOT] = Array.of(value, named(path))

    def _add_parts(self, path: str, value: Any) -> None:
        parts = _parts(path, value)
        if parts is None:
            what = f"{named(path)} is a {type(value).__name__}, which no snapshot can hold"
            raise SnapshotError(f"{what}.", hint=_SAY)
        if id(value) in self._above or len(self._above) == _DEEPEST:
            what = "holds itself" if id(value) in self._above else f"is nested more than {_DEEPEST} times"
            raise SnapshotError(f"{named(path)} {what}.", hint="Compare the part of it that matters.")
        found = list(parts)
        self._append(Row(path, type(value).__name__, len(found)))
        self._above.append(id(value))
        for key, part in found:
            self.add(key, part)
        self._above.pop()


def _scalar(path: str, value: Any) -> Row | None:
    """Return the row of a value without parts; None if it has parts, or is of no type that is known."""
    if isinstance(value, Enum):
        return Row(path, type(value).__name__, value.name)
    if value is None:
        return Row(path, "None", "")
    if isinstance(value, bool):
        return Row(path, "bool", value)
    if isinstance(value, int):
        return Row(path, "int", int(value) if -(2**63) <= value < 2**63 else _digits(path, value))
    if isinstance(value, float):
        if math.isnan(value):
            what = f"{named(path)} is NaN, which equals nothing, so no snapshot can hold it"
            raise SnapshotError(f"{what}.", hint="Find out why, or leave it out.")
        return Row(path, "float", float(value))
    if isinstance(value, str):
        return Row(path, "str", str(value))
    if isinstance(value, bytes | bytearray):
        return Row(path, "bytes", f"{len(value)} bytes, sha256:{sha256(value).hexdigest()}")
    return None


def _digits(path: str, value: int) -> str:
    try:
        return str(value)
    except ValueError as error:  # Python refuses some thousands of digits
        raise SnapshotError(f"{named(path)} is an integer of too many digits.", hint="Compare a text of it.") from error


def _parts(path: str, value: Any) -> Iterable[tuple[str, Any]] | None:
    """Return what a container holds, by paths; None if it is none that is known."""
    if isinstance(value, Record | type):
        return None
    if isinstance(value, Mapping):
        return [(_key(path, key), part) for key, part in value.items()]
    if is_dataclass(value):
        return [(_key(path, field.name), getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(_key(path, name), part) for name, part in zip(value._fields, value, strict=True)]
    if isinstance(value, set | frozenset):
        value = sorted(value, key=lambda one: (type(one).__name__, repr(one)))
    if isinstance(value, list | tuple):
        return [(f"{path}[{number}]", part) for number, part in enumerate(value)]
    return None


def _key(path: str, key: Any) -> str:
    key = key.item() if is_scalar(key) else key
    if isinstance(key, str) and key.isidentifier():
        return f"{path}.{key}" if path else str(key)
    if not _is_plain(key):
        what = f"{named(path)} has a key of the type {type(key).__name__}, which no snapshot can hold"
        raise SnapshotError(f"{what}.", hint="Use texts or numbers as keys.")
    try:
        return f"{path}[{key!r}]"
    except ValueError as error:  # Python refuses some thousands of digits
        raise SnapshotError(f"{named(path)} has a key of too many digits.", hint="Use a text as key.") from error


def _is_plain(key: Any) -> bool:
    if isinstance(key, tuple):
        return all(map(_is_plain, key))
    return type(key) in (str, int, float, bool, bytes, type(None))


def _numbers(value: Any) -> Any:
    """Return more than a few numbers in a list, or in nested lists of one length, as an array; else None."""
    shape: list[int] = []
    first = value
    while type(first) is list and first and len(shape) < _AXES:
        shape.append(len(first))
        first = first[0]
    first = first.item() if is_scalar(first) else first
    if math.prod(shape) <= _FEW or type(first) not in (bool, int, float):
        return None
    flat = list(_flat(value, shape))
    if len(flat) != math.prod(shape) or any(type(one) is not type(first) for one in flat):
        return None
    import numpy as np

    try:
        return np.array(flat, {bool: "?", int: "i8", float: "f8"}[type(first)]).reshape(shape)
    except OverflowError:  # an integer of more than 64 bits
        return None


def _flat(value: Any, shape: list[int]) -> Iterator[Any]:
    """Yield the numbers of nested lists, or None for what does not have the shape."""
    if not shape:
        yield value.item() if is_scalar(value) else value
    elif type(value) is not list or len(value) != shape[0]:
        yield None
    else:
        for part in value:
            yield from _flat(part, shape[1:])


def _engine_of(value: Any) -> str | None:
    package = type(value).__module__.partition(".")[0]
    return package if package in ("torch", "tensorflow") else None


def _finest(arrays: Mapping[str, Array], rows: Iterable[Row]) -> str:
    """Return the dtype whose tolerance holds: the coarser ones only if no other float is there.

    Python's floats count as float32, because a model gave them.
    """
    found = {array.dtype for array in arrays.values() if not array.is_exact}
    coarse = [name for name in ("float16", "bfloat16") if name in found]
    if any(row.type == "float" for row in rows) or found - {"float16", "bfloat16"} or not coarse:
        return "float32"
    return coarse[0]
