"""The kind `values`: structure and texts are compared exactly, floats within the tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.comparison import Detail, Difference, Passage, common_prefix
from pytest_hfmodels.kinds.values.record import ROOT, Row, ValuesRecord, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_COLUMNS = ["path", "type", "value"]
_SCALARS: dict[str, tuple[type, ...]] = {
    "None": (str,),
    "bool": (bool,),
    "int": (int, str),
    "float": (int, float),
    "str": (str,),
    "bytes": (str,),
}


class _Values(msgspec.Struct):
    columns: list[str]
    rows: list[tuple[str, str, str | int | float | bool]]


class _Stored(msgspec.Struct):
    values: _Values


class _PlainValues(Kind[ValuesRecord]):
    name = "values"
    tolerant = ("values",)
    relative = 0.1

    def tables(self, record: ValuesRecord) -> dict[str, Any]:
        return {"values": {"columns": _COLUMNS, "rows": [list(row) for row in record.rows]}}

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> ValuesRecord:
        stored = file.convert(_Stored).values
        if stored.columns != _COLUMNS:
            raise file.error(f"the columns are not {', '.join(_COLUMNS)}", "values", "columns")
        rows = tuple(Row(*row) for row in stored.rows)
        if not rows or rows[0].path or len({row.path for row in rows}) < len(rows):
            raise file.error("the first row is the whole value, and each path has one row", "values", "rows")
        for number, row in enumerate(rows):
            if not _is_sound(row) or (_is_array(row) and (row.path or ROOT) not in shared["arrays"]):
                raise file.error(
                    f"a value of the type {row.type} cannot be {row.value!r}", "values", "rows", str(number)
                )
        return ValuesRecord(rows=rows, **shared)

    def differences(self, recorded: ValuesRecord, observed: ValuesRecord) -> Iterator[Difference]:
        before, now = ({row.path: row for row in record.rows} for record in (recorded, observed))
        reported: list[str] = []
        for path in {**before, **now}:
            if not any(path.startswith((f"{one}.", f"{one}[")) if one else True for one in reported):
                difference = _difference(before.get(path), now.get(path))
                if difference is not None:
                    yield difference
                    reported += [path] if difference.stage == "structure" else []

    def numbers(self, recorded: ValuesRecord, observed: ValuesRecord) -> Iterator[tuple[str, int | None, float, float]]:
        now = {row.path: row for row in observed.rows}
        for row in recorded.rows:
            if row.type == "float" and row.path in now and now[row.path].type == "float":
                yield named(row.path), None, float(row.value), float(now[row.path].value)

    def scale(self, what: str, record: ValuesRecord) -> str:
        return record.scales.get(what, what)

    def texts(self, record: ValuesRecord) -> dict[str, str]:
        return {"values": "\n".join(_lines(record))}

    def explainer(self) -> Explainer[ValuesRecord]:
        from pytest_hfmodels.kinds.values.explain import EXPLAINER

        return EXPLAINER


def _lines(record: ValuesRecord) -> Iterator[str]:
    for row in record.rows:
        if _is_array(row):
            yield f"{named(row.path)}: {row.type} {record.arrays[row.path or ROOT]}"
        elif not _is_container(row):
            yield f"{named(row.path)}: {row.value if row.type != 'None' else 'None'}"
        elif not row.value:
            yield f"{named(row.path)}: empty {row.type}"


def _difference(before: Row | None, now: Row | None) -> Difference | None:
    """Return how two rows of one path differ, except floats and arrays."""
    if before is None or now is None:
        path = (before or now or Row("", "", "")).path
        return Difference("structure", named(path), _shown(before), _shown(now))
    if before.type != now.type:
        return Difference("structure", f"type of {named(now.path)}", _shown(before), _shown(now))
    if before.value == now.value or before.type == "float":
        return None
    if _is_container(before):
        return Difference("structure", f"length of {named(now.path)}", before.value, now.value)
    detail = _passages(before, now) if before.type == "str" else None
    return Difference("labels", named(now.path), before.value, now.value, detail=detail)


def _passages(before: Row, now: Row) -> Detail:
    """Return where two texts part."""
    then, here = str(before.value), str(now.value)
    split = common_prefix(then, here)
    sides = [Passage(text[:split], text[split:]) for text in (then, here)]
    return Detail(sides[0], sides[1], title=named(now.path))


def _shown(row: Row | None) -> str:
    if row is None:
        return "nothing"
    return row.type if _is_container(row) or _is_array(row) or row.type == "None" else f"{row.type} {row.value!r}"


def _is_container(row: Row) -> bool:
    return row.type not in _SCALARS and isinstance(row.value, int)


def _is_array(row: Row) -> bool:
    return row.type not in _SCALARS and row.value == ""


def _is_sound(row: Row) -> bool:
    if row.type not in _SCALARS:
        return isinstance(row.value, int | str)
    if isinstance(row.value, bool) or not isinstance(row.value, _SCALARS[row.type]):
        return row.type == "bool" and isinstance(row.value, bool)
    return row.type != "int" or not isinstance(row.value, str) or row.value.lstrip("-").isdecimal()


KIND = _PlainValues()
