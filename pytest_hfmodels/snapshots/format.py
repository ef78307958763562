"""The snapshot file: records to TOML and back, with file and line in every complaint."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.engines.availability import ENGINES, described
from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.kinds.evidence import NORMALIZED, Block
from pytest_hfmodels.kinds.layout import rounded
from pytest_hfmodels.kinds.provenance import CheckpointSeen, Provenance
from pytest_hfmodels.kinds.registry import kind_named, kind_names, kind_of
from pytest_hfmodels.snapshots.toml_reader import Reader, parse_toml, snapshot_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.kinds.base import Record

FORMAT = 1

_HEADER = "Written by pytest-hfmodels: read it as code, rewrite it with `pytest --snapshot-update`."
_COMPUTED_BY = ("engine", "implementation", "dtype", "attention", "device")
_BLOCKS = ("block", "mean", "rms", "probe")


def dump(record: Record, *, earlier: Mapping[str, Any] | None = None, keep: Any = None) -> str:
    """Return the text of a snapshot file.

    Args:
        record: what to write.
        earlier: the parsed file that it replaces, or None.
        keep: returns whether the earlier of two numbers keeps its digits (`Tolerance.accepts`), so that a
            rewritten file changes only where something changed. All numbers are rewritten if the engine, dtype,
            attention, device or implementation changed: a file never mixes digits of two.
    """
    import tomlkit  # only a run that writes, or shows a file that is not there yet, pays for it

    kind = kind_of(record)
    tables = {
        "format": FORMAT,
        "kind": record.kind,
        "provenance": _provenance(record.provenance),
        "checkpoint": _checkpoint(record.checkpoint),
        **kind.tables(record),
        "forward": _blocks(record.blocks),
    }
    if earlier is not None and keep is not None and _computed_alike(earlier, tables):
        for name in (*kind.tolerant, "forward"):
            _keep_digits_of(tables, earlier, name.split("."), keep)
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEADER))
    for name, value in tables.items():
        document.add(name, _item(value))
    return tomlkit.dumps(document)


def load(text: str, path: Path) -> Record:
    """Return the record that a snapshot file holds.

    Args:
        text: its content.
        path: its name, for messages.

    Raises:
        SnapshotError: it is not TOML, has a newer format, or is not a valid record; with file and line.
    """
    reader = Reader(parse(text, path), text, path)
    found = reader.integer("format")
    if found != FORMAT:
        raise reader.error(
            ("format",),
            f"the file has format {found}, and this version reads {FORMAT}",
            "Upgrade pytest-hfmodels; or delete the file and record it anew: pytest --snapshot-update.",
        )
    name = reader.string("kind")
    kind = kind_named(name)
    if kind is None:
        raise reader.error(
            ("kind",),
            f"the kind {name!r} is not registered; there is {', '.join(kind_names())}",
            f"If it is a kind of the project's own, register it in the conftest.py of the root or of the test's folder "
            f"(docs/own-kinds.md). {snapshot_hint(path)}",
        )
    shared = {
        "provenance": _load_provenance(reader),
        "checkpoint": _load_checkpoint(reader),
        "blocks": _load_blocks(reader),
    }
    record: Record = kind.load(reader, shared)
    return record


def parse(text: str, path: Path) -> dict[str, Any]:
    """Return the TOML of a snapshot file as plain data.

    Raises:
        SnapshotError: it is not TOML (with line and column), or it is nested too deeply.
    """
    try:
        return parse_toml(text)
    except ValueError as error:
        raise SnapshotError(
            f"The snapshot {path} is not valid TOML: {error}.",
            hint=snapshot_hint(path),
        ) from error


def _keep_digits_of(now: dict[str, Any], earlier: Mapping[str, Any], path: Sequence[str], keep: Any) -> None:
    """Replace what stands at `path` by the same with the earlier digits, if both sides have it."""
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
    return all(sides[0].get(name) == sides[1].get(name) for name in _COMPUTED_BY)


def _checkpoint(checkpoint: CheckpointSeen) -> dict[str, Any]:
    return {name: value for name, value in asdict(checkpoint).items() if value not in (None, "")}


def _provenance(provenance: Provenance) -> dict[str, Any]:
    own = {name: value for name, value in asdict(provenance).items() if name != "versions"}
    return {"recorded_with": own, "versions": dict(provenance.versions)}


def _load_provenance(reader: Reader) -> Provenance:
    table = reader.table("provenance")
    own = table.table("recorded_with")
    versions = {name: str(value) for name, value in table.table("versions").values.items()}
    names = ("implementation", "dtype", "attention", "device", "cpu")
    engine = own.string("engine")
    if engine not in ENGINES.names():
        raise own.error(("engine",), f"unknown engine {engine!r}", f"It is {' or '.join(ENGINES.names())}.")
    other = next((name for name in ENGINES.names() if name != engine and name in versions), None)
    if other and described(engine).package not in versions:  # a record lists the version of its own engine
        raise own.error(
            ("engine",),
            f"{engine!r} contradicts the versions, which list only {other}",
        )
    return Provenance(
        engine=engine,
        versions=versions,
        **{name: own.string(name) for name in names},
    )


def _load_checkpoint(reader: Reader) -> CheckpointSeen:
    table = reader.table("checkpoint")
    names = ("name", "origin", "weights", "config", "tokenizer")
    revision = table.string("revision") if "revision" in table.values else None
    overrides = _load_overrides(table) if "overrides" in table.values else ""
    return CheckpointSeen(revision=revision, overrides=overrides, **{name: table.string(name) for name in names})


def _load_overrides(table: Reader) -> str:
    text = table.string("overrides")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise table.error(("overrides",), "it is not a JSON object of configuration fields")
    return text


def _blocks(blocks: Iterable[Block]) -> dict[str, Any]:
    found = list(blocks)
    rows = [[block.name, *map(rounded, (block.mean, block.rms, block.probe))] for block in found]
    table: dict[str, Any] = {"columns": list(_BLOCKS), "blocks": rows}
    if found and all(block.normalized for block in found):  # files of earlier versions have none
        table["normalized"] = [[rounded(value) for value in block.normalized] for block in found]
    return table


def _load_blocks(reader: Reader) -> tuple[Block, ...]:
    reader.require_columns("forward", _BLOCKS)
    rows = list(reader.rows("forward", "blocks", (str, float, float, float)))
    if "normalized" not in reader.table("forward").values:
        return tuple(Block(*row) for row in rows)
    normalized = list(reader.rows("forward", "normalized", (float,) * NORMALIZED))
    if len(normalized) != len(rows):
        raise reader.table("forward").error(
            ("normalized",),
            f"the number of rows, {len(normalized)}, is not the number of blocks, {len(rows)}",
        )
    return tuple(replace(Block(*row), normalized=tuple(more)) for row, more in zip(rows, normalized, strict=True))


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
        entries = [_item(entry, inline=True).as_string() for entry in value]
        rows, line = "".join(f"    {entry},\n" for entry in entries), ", ".join(entries)
        # From its text: tomlkit counts an array anew at each entry that is added, and a long text has thousands.
        return tomlkit.value(f"[\n{rows}]" if _one_a_line(value) else f"[{line}]")
    return tomlkit.item(value)


def _one_a_line(values: Sequence[Any]) -> bool:
    """Rows, and strings that are text rather than names, stand one a line."""
    return any(isinstance(value, list) or (isinstance(value, str) and len(value) > 20) for value in values)
