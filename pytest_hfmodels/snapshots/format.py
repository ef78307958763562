"""The snapshot file: records to TOML and back."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pytest_hfmodels.engines.availability import ENGINES, described
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.files import read_bytes
from pytest_hfmodels.kinds.array_storage import array_file, array_tables, beside_arrays, inline_array
from pytest_hfmodels.kinds.arrays import is_recordable
from pytest_hfmodels.kinds.evidence import Block
from pytest_hfmodels.kinds.layout import rounded
from pytest_hfmodels.kinds.provenance import COMPUTED_BY, NO_CHECKPOINT, NO_ENGINE, CheckpointSeen, Provenance
from pytest_hfmodels.kinds.registry import KINDS, kind_named, kind_of
from pytest_hfmodels.kinds.tolerance import largest_floor
from pytest_hfmodels.results.pending import LARGEST
from pytest_hfmodels.snapshots.location import beside
from pytest_hfmodels.snapshots.toml_reader import TomlFile, parse_toml, read_toml, restore_command, snapshot_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.kinds.arrays import Array
    from pytest_hfmodels.kinds.base import Record

FORMAT = 1
LARGEST_ARRAYS = 512 << 20  # bytes of the file beside a snapshot

_HEADER = "Written by pytest-hfmodels: read it as code, rewrite it with `pytest --snapshot-update`."
_BLOCKS = ["block", "mean", "rms", "probe"]
# Of a deep model only the normalized numbers are stored, with fewer digits, so that a file stays small.
_DEEP = 16
_DEEP_DIGITS = 7
_DEEP_BLOCKS = ["block", "direction 1", "direction 2", "direction 3", "direction 4", "size"]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot file and the record in it."""

    file: TomlFile
    record: Record


class _Provenance(msgspec.Struct):
    recorded_with: dict[str, Any]
    versions: dict[str, Any]
    noise_floor: float | None = None  # not measured, as in files of earlier versions


class _Forward(msgspec.Struct):
    columns: list[str]
    blocks: list[tuple[str, float, float, float]] = []
    deep: list[tuple[str, float, float, float, float, float]] = []
    last: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    normalized: list[tuple[float, float, float, float, float]] | None = None  # files of earlier versions have none


class _Array(msgspec.Struct):
    name: str
    dtype: str
    shape: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]
    norm: float
    projection: float
    values: list[Any] | None = None


class _ArrayFile(msgspec.Struct):
    sha256: str


class _Shared(msgspec.Struct):
    """What every kind stores."""

    kind: str
    provenance: _Provenance
    checkpoint: dict[str, Any]
    forward: _Forward | None = None
    array_file: _ArrayFile | None = None
    arrays: list[_Array] = []


def read_snapshot(path: Path) -> Snapshot | None:
    """Read a snapshot; None if there is none. Raises as `load`, or if it cannot be read."""
    file = read_toml(path, hint=snapshot_hint(path))
    return None if file is None else Snapshot(file, _record(file, read_arrays(file.values, path)))


def array_digest(values: Mapping[str, Any]) -> str | None:
    """Return the digest of the array file that a parsed snapshot names, or None if it names none."""
    table = values.get("array_file")
    found = table.get("sha256") if isinstance(table, dict) else None
    return found if isinstance(found, str) else None


def read_arrays(values: Mapping[str, Any], path: Path) -> bytes | None:
    """Return the content of the array file beside a snapshot, or None if the snapshot names none.

    Args:
        values: the parsed snapshot.
        path: of the snapshot.

    Raises:
        SnapshotError: the file is not there, cannot be read, or is not the one that the snapshot names.
    """
    wanted, file = array_digest(values), beside(path)
    if wanted is None:
        return None
    try:
        content = read_bytes(file, largest=LARGEST_ARRAYS)
    except OSError as error:
        what = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
        raise SnapshotError(f"{file}, the array file of {path.name}, {what}.", hint=_restore_both(path)) from error
    if sha256(content).hexdigest() != wanted:
        what = "is not the one that was recorded with it: one of the two is older, or was edited"
        raise SnapshotError(f"{file}, the array file of {path.name}, {what}.", hint=_restore_both(path))
    return content


def _restore_both(path: Path) -> str:
    both = f"{restore_command(path)} && {restore_command(beside(path))}"
    return f"Delete both and record them again (pytest --snapshot-update), or restore both: {both}"


def load(text: str, path: Path, arrays: bytes | None = None) -> Record:
    """Return the record in the text of a snapshot, with the content of its array file if the arrays are compared.

    Raises:
        SnapshotError: it is not TOML, has a newer format, or is not a valid record; with file and line.
    """
    return parse_snapshot(text, path, arrays).record


def parse_snapshot(text: str, path: Path, arrays: bytes | None = None) -> Snapshot:
    """Return a text as the snapshot that it is; see `load`."""
    file = parse_toml(text, path, hint=snapshot_hint(path))
    return Snapshot(file, _record(file, arrays))


def parse(text: str, path: Path) -> dict[str, Any]:
    """Return a snapshot as plain data, unchecked. Raises SnapshotError if it is not TOML."""
    return parse_toml(text, path, hint=snapshot_hint(path)).values


def _record(file: TomlFile, arrays: bytes | None) -> Record:
    found = file.values.get("format")
    if found != FORMAT:
        raise file.error(
            f"the file has format {found!r}, but this version reads {FORMAT}",
            "format",
            hint="Upgrade pytest-hfmodels; or delete the file and record it again: pytest --snapshot-update.",
        )
    tables = file.convert(_Shared)
    kind = kind_named(tables.kind)
    if kind is None:
        raise file.error(
            f"the kind {tables.kind!r} is not registered; there is {', '.join(KINDS.names())}",
            "kind",
            hint="If it is a kind of the project's own, register it in the conftest.py of the root or of the test's "
            f"folder (docs/own-kinds.md). {file.hint}",
        )
    checkpoint = _load_checkpoint(file, tables.checkpoint)
    shared = {
        "provenance": _load_provenance(file, tables.provenance),
        "checkpoint": checkpoint,
        "blocks": () if checkpoint == NO_CHECKPOINT else _load_blocks(file, tables.forward),
        "arrays": _load_arrays(file, tables, arrays),
    }
    record: Record = kind.load(file, shared)
    return record


@dataclass(frozen=True)
class Files:
    """What a snapshot is on disk: the text of its TOML file, and the array file beside it, or None without one."""

    text: str
    arrays: bytes | None = None


def dump(record: Record, *, earlier: Mapping[str, Any] | None = None, keep: Any = None) -> str:
    """Return the text of a snapshot file; see `files`."""
    return files(record, earlier=earlier, keep=keep).text


def files(record: Record, *, earlier: Mapping[str, Any] | None = None, keep: Any = None) -> Files:
    """Return what a snapshot is on disk.

    Args:
        record: what to write.
        earlier: the parsed file that it replaces, or None.
        keep: returns whether the earlier of two numbers keeps its digits (`Tolerance.accepts`), so that a
            rewritten file changes only where something changed. All numbers are rewritten if the engine, dtype,
            attention, device or implementation changed: a file never mixes digits of two.

    Raises:
        SnapshotError: the text is larger than one that can be read.
    """
    import tomlkit  # only a run that writes, or shows a file that is not there yet, pays for it

    kind, own, arrays = kind_of(record), asdict(record.provenance), array_file(record.arrays)
    versions, floor = own.pop("versions"), own.pop("noise_floor")
    tables = {
        "format": FORMAT,
        "kind": record.kind,
        "provenance": {
            "recorded_with": own,
            "versions": dict(versions),
            **({} if floor is None else {"noise_floor": floor}),
        },
        "checkpoint": {name: value for name, value in asdict(record.checkpoint).items() if value not in (None, "")},
        **kind.tables(record),
        **({} if arrays is None else {"array_file": {"sha256": sha256(arrays).hexdigest()}}),
        **({"arrays": array_tables(record.arrays)} if record.arrays else {}),
        **({} if record.checkpoint == NO_CHECKPOINT else {"forward": _forward(record.blocks)}),
    }
    if earlier is not None and keep is not None and _computed_alike(earlier, tables):
        for name in (*kind.tolerant, "arrays", "forward"):
            _keep_digits_of(tables, earlier, name.split("."), keep)
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    for name, value in tables.items():
        document.add(name, _item(value))
    text = tomlkit.dumps(document)
    reason = too_large(text)
    if reason is not None:
        raise SnapshotError(
            f"The snapshot of this {record.kind} {reason}.",
            hint="Compare a digest of it, or the parts that matter; numbers as an array.",
        )
    return Files(text, arrays)


def too_large(text: str) -> str | None:
    """Return that a text is larger than a snapshot that can be read, or None if it is not."""
    size = len(text.encode("utf-8", "surrogatepass"))
    return f"has {size:,} bytes, and a snapshot at most {LARGEST:,}" if size > LARGEST else None


def _keep_digits_of(now: dict[str, Any], earlier: Mapping[str, Any], path: Sequence[str], keep: Any) -> None:
    """Replace the value at `path` by the same with the earlier digits, if both sides have it."""
    name, *rest = path
    if name not in now or not isinstance(earlier, dict) or name not in earlier:
        return
    if rest:
        _keep_digits_of(now[name], earlier[name], rest, keep)
    else:
        now[name] = keep_digits(earlier[name], now[name], keep)


def keep_digits(earlier: Any, now: Any, keep: Any) -> Any:
    """Return `now` with every number for which `keep(earlier, now)` holds replaced by the earlier one."""
    if isinstance(now, dict) and isinstance(earlier, dict):
        return {name: keep_digits(earlier.get(name), value, keep) for name, value in now.items()}
    if isinstance(now, list) and isinstance(earlier, list) and len(now) == len(earlier):
        return [keep_digits(before, value, keep) for before, value in zip(earlier, now, strict=True)]
    if isinstance(now, float) and isinstance(earlier, int | float) and not isinstance(earlier, bool):
        return float(earlier) if keep(float(earlier), now) else now
    return now


def _computed_alike(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether two files were computed with the same engine, dtype, attention, device and implementation."""
    sides = [tables.get("provenance", {}).get("recorded_with", {}) for tables in (earlier, now)]
    return all(sides[0].get(name) == sides[1].get(name) for name in COMPUTED_BY)


def _load_provenance(file: TomlFile, tables: _Provenance) -> Provenance:
    trail = ("provenance", "recorded_with")
    measured = {"versions": tables.versions, "noise_floor": tables.noise_floor}
    found = file.convert(Provenance, {**tables.recorded_with, **measured}, *trail)
    most = largest_floor(found.dtype)
    if found.noise_floor is not None and not 0 < found.noise_floor <= most:
        what = f"it is {found.noise_floor:g}, and in {found.dtype} it is above 0 and at most {most:g}"
        raise file.error(what, "provenance", "noise_floor")
    if found.engine not in (*ENGINES.names(), NO_ENGINE):
        what = f"the engine {found.engine!r} is not one of {', '.join(ENGINES.names())}"
        raise file.error(what, *trail, "engine")
    others = [name for name in ENGINES.names() if name != found.engine and name in found.versions]
    if (
        found.engine != NO_ENGINE and others and described(found.engine).package not in found.versions
    ):  # it lists that of its own engine
        raise file.error(f"{found.engine!r} contradicts the versions, which list only {others[0]}", *trail, "engine")
    return found


def _load_checkpoint(file: TomlFile, values: dict[str, Any]) -> CheckpointSeen:
    if values == {"origin": NO_CHECKPOINT.origin}:
        return NO_CHECKPOINT
    found = file.convert(CheckpointSeen, {"revision": None, **values}, "checkpoint")
    try:
        msgspec.json.decode(found.overrides or "{}", type=dict)
    except (msgspec.DecodeError, RecursionError):
        raise file.error("it is not a JSON object of configuration fields", "checkpoint", "overrides") from None
    return found


def _load_blocks(file: TomlFile, forward: _Forward | None) -> tuple[Block, ...]:
    if forward is None:
        raise file.error("the table `forward` is missing")
    columns = _DEEP_BLOCKS if forward.deep else _BLOCKS
    if forward.columns != columns:
        raise file.error(f"the columns are not {', '.join(columns)}", "forward", "columns")
    if forward.deep:
        deep = [Block(name, math.nan, math.nan, math.nan, tuple(numbers)) for name, *numbers in forward.deep]
        return (*deep[:-1], Block(deep[-1].name, *forward.last, normalized=deep[-1].normalized))
    rows, normalized = forward.blocks, forward.normalized
    if normalized is None:
        return tuple(Block(*row) for row in rows)
    if len(normalized) != len(rows):
        what = f"the number of rows, {len(normalized)}, is not the number of blocks, {len(rows)}"
        raise file.error(what, "forward", "normalized")
    return tuple(replace(Block(*row), normalized=more) for row, more in zip(rows, normalized, strict=True))


def _load_arrays(file: TomlFile, tables: _Shared, content: bytes | None) -> dict[str, Array]:
    def read() -> bytes:
        if content is None:
            raise SnapshotError(f"{file.path}: its array file was not read.", hint="Run the test again.")
        return content

    for number, table in enumerate(tables.arrays):
        if not is_recordable(table.dtype):
            raise file.error(f"no snapshot holds the dtype {table.dtype!r}", "arrays", str(number), "dtype")
    outside = [table for table in tables.arrays if table.values is None]
    if (tables.array_file is None) == bool(outside):
        raise file.error("it names an array file if and only if an array has no `values`", "arrays")
    if len({table.name for table in tables.arrays}) < len(tables.arrays):
        raise file.error("two arrays have one name", "arrays")
    described = [(table.name, table.dtype, table.shape, table.norm, table.projection) for table in outside]
    found = dict(beside_arrays(described, read))
    return {
        table.name: found.get(table.name) or _inline(file, table, number) for number, table in enumerate(tables.arrays)
    }


def _inline(file: TomlFile, table: _Array, number: int) -> Array:
    try:
        return inline_array(table.dtype, table.shape, table.norm, table.projection, table.values or [])
    except ValueError as error:
        raise file.error(str(error), "arrays", str(number), "values") from None


def _forward(blocks: Sequence[Block]) -> dict[str, Any]:
    normalized = bool(blocks) and all(block.normalized for block in blocks)
    if normalized and len(blocks) > _DEEP:
        last = [rounded(value) for value in (blocks[-1].mean, blocks[-1].rms, blocks[-1].projection)]
        deep = [[block.name, *(float(f"{one:.{_DEEP_DIGITS}g}") for one in block.normalized)] for block in blocks]
        return {"columns": _DEEP_BLOCKS, "deep": deep, "last": last}
    rows = [[block.name, *map(rounded, (block.mean, block.rms, block.projection))] for block in blocks]
    table: dict[str, Any] = {"columns": _BLOCKS, "blocks": rows}
    if normalized:
        table["normalized"] = [[rounded(value) for value in block.normalized] for block in blocks]
    return table


def _item(value: Any, *, inline: bool = False) -> Any:
    """Lay a value out for reading: rows and sentences one a line, ids and small tables in one."""
    import tomlkit
    from tomlkit.items import AoT

    if isinstance(value, dict):
        table = tomlkit.inline_table() if inline else tomlkit.table()
        for name, entry in value.items():
            table.add(name, _item(entry, inline=isinstance(entry, dict)))
        return table
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return AoT([_item(entry) for entry in value])
    if isinstance(value, list | tuple):
        entries = [_in_one_line(entry) for entry in value]
        rows, line = "".join(f"    {entry},\n" for entry in entries), ", ".join(entries)
        return _written(f"[\n{rows}]" if _one_a_line(value) else f"[{line}]")
    return tomlkit.item(value)


def _written(text: str) -> Any:
    """Return an array by its text: tomlkit counts one anew at each entry that is added, and parses one slowly."""
    from tomlkit.items import Array, Trivia

    class Written(Array):
        def as_string(self) -> str:
            return text

    return Written([], Trivia())


def _in_one_line(value: Any) -> str:
    """Return the text of an entry of an array, in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_in_one_line, value))}]"
    found: str = _item(value, inline=True).as_string()
    return found


def _one_a_line(values: Sequence[Any]) -> bool:
    """Rows, and strings that are text rather than names, stand one a line."""
    return any(isinstance(value, list) or (isinstance(value, str) and len(value) > 20) for value in values)
