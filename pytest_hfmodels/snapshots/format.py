"""The snapshot file: records to TOML and back, with file and line in every complaint."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.records import (
    Beam,
    Block,
    CheckpointSeen,
    ClassificationRecord,
    ClassifiedInput,
    GenerationRecord,
    Loss,
    Prompt,
    Provenance,
    Step,
)
from pytest_hfmodels.records.evidence import NORMALIZED
from pytest_hfmodels.snapshots.reading import Reader, parse_toml, snapshot_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_hfmodels.records import Record

FORMAT = 1
DIGITS = 9

_HEADER = "Written by pytest-hfmodels: read it as code, rewrite it with `pytest --snapshot-update`."
_STEPS = ("id", "text", "log-probability", "processed", "margin", "runner-up", "runner-up text")
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

    tables = _generation_tables(record) if isinstance(record, GenerationRecord) else _classification_tables(record)
    if earlier is not None and keep is not None and _computed_alike(earlier, tables):
        tables = {
            name: value if name == "provenance" else keep_digits(earlier.get(name), value, keep)
            for name, value in tables.items()
        }
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
    kind = reader.string("kind")
    if kind == "generation":
        return _load_generation(reader)
    if kind == "classification":
        return _load_classification(reader)
    raise reader.error(
        ("kind",),
        f"unknown kind {kind!r}: it is generation or classification",
        snapshot_hint(path),
    )


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


def _generation_tables(record: GenerationRecord) -> dict[str, Any]:
    tables: dict[str, Any] = {
        "format": FORMAT,
        "kind": "generation",
        "provenance": _provenance(record.provenance),
        "checkpoint": _checkpoint(record.checkpoint),
        "prompt": {"text": record.prompt.text, "ids": list(record.prompt.ids)},
        "effective": _without_none(record.effective),
        "output": {"text": sentences(record.text)},
        "steps": {
            "columns": list(_STEPS),
            "rows": [[_short(value) for value in asdict(step).values()] for step in record.steps],
        },
    }
    if record.beams:
        tables["beams"] = [
            {"ids": list(beam.ids), "score": _short(beam.score), "text": sentences(beam.text)} for beam in record.beams
        ]
        tables["frontier"] = {"gaps": [_short(gap) for gap in record.frontier]}
    tables["forward"] = _blocks(record.blocks)
    return tables


def _classification_tables(record: ClassificationRecord) -> dict[str, Any]:
    tables: dict[str, Any] = {
        "format": FORMAT,
        "kind": "classification",
        "provenance": _provenance(record.provenance),
        "checkpoint": _checkpoint(record.checkpoint),
        "effective": _without_none(record.effective),
        "inputs": [
            {
                "text": row.text,
                "ids": list(row.ids),
                "label": row.label,
                "labels": list(row.labels),
                "logits": [_short(value) for value in row.logits],
                "margin": _short(row.margin),
            }
            for row in record.inputs
        ],
    }
    if record.loss is not None:
        tables["loss"] = {"value": _short(record.loss.value), "labels": list(record.loss.labels)}
    tables["forward"] = _blocks(record.blocks)
    return tables


def _load_generation(reader: Reader) -> GenerationRecord:
    _require_columns(reader, "steps", _STEPS)
    steps = tuple(Step(*row) for row in reader.rows("steps", "rows", (int, str, float, float, float, int, str)))
    beams = tuple(
        Beam(ids=beam.integers("ids"), score=beam.number("score"), text="".join(beam.strings("text")))
        for beam in reader.tables("beams")
    )
    prompt = reader.table("prompt")
    text = "".join(reader.table("output").strings("text"))
    if beams:
        _require_first_beam(reader, beams[0], steps, text)
    return GenerationRecord(
        provenance=_load_provenance(reader),
        checkpoint=_load_checkpoint(reader),
        prompt=Prompt(text=prompt.string("text"), ids=prompt.integers("ids")),
        effective=dict(reader.table("effective").values),
        steps=steps,
        beams=beams,
        frontier=reader.table("frontier").numbers("gaps") if beams else (),
        blocks=_load_blocks(reader),
        text=text,
    )


def _require_columns(reader: Reader, table: str, columns: tuple[str, ...]) -> None:
    """Refuse a table whose `columns` are not the names of its rows' values."""
    inner = reader.table(table)
    if inner.strings("columns") != columns:
        raise inner.error(("columns",), f"the columns are not {', '.join(columns)}")


def _require_first_beam(reader: Reader, beam: Beam, steps: Sequence[Step], text: str) -> None:
    """Refuse a first beam that is not the output: a recorded one always is, so the file was edited."""
    first = next(reader.tables("beams"))
    if beam.ids != tuple(step.id for step in steps):
        raise first.error(("ids",), "the ids of the first beam are not the ids in steps.rows")
    if beam.text != text:
        raise first.error(("text",), "the text of the first beam is not output.text")


def _load_classification(reader: Reader) -> ClassificationRecord:
    inputs = tuple(
        ClassifiedInput(
            text=row.string("text"),
            ids=row.integers("ids"),
            logits=row.numbers("logits"),
            label=row.string("label"),
            margin=row.number("margin"),
            labels=row.strings("labels"),
        )
        for row in reader.tables("inputs")
    )
    loss = None
    if "loss" in reader.values:
        table = reader.table("loss")
        loss = Loss(value=table.number("value"), labels=tuple(table.array("labels")))
    return ClassificationRecord(
        provenance=_load_provenance(reader),
        checkpoint=_load_checkpoint(reader),
        effective=dict(reader.table("effective").values),
        inputs=inputs,
        loss=loss,
        blocks=_load_blocks(reader),
    )


def _checkpoint(checkpoint: CheckpointSeen) -> dict[str, Any]:
    table = _without_none(asdict(checkpoint))
    if not checkpoint.overrides:
        del table["overrides"]
    return table


def _provenance(provenance: Provenance) -> dict[str, Any]:
    own = {name: value for name, value in asdict(provenance).items() if name != "versions"}
    return {"recorded_with": own, "versions": dict(provenance.versions)}


def _load_provenance(reader: Reader) -> Provenance:
    table = reader.table("provenance")
    own = table.table("recorded_with")
    versions = {name: str(value) for name, value in table.table("versions").values.items()}
    names = ("implementation", "dtype", "attention", "device", "cpu")
    engine = own.string("engine")
    if engine not in ("torch", "tensorflow"):
        raise own.error(("engine",), f"unknown engine {engine!r}", "It is torch or tensorflow.")
    other = "tensorflow" if engine == "torch" else "torch"
    if other in versions and engine not in versions:  # a record lists the version of its own engine
        raise own.error(
            ("engine",),
            f"{engine!r} contradicts the versions, which list only {other}",
        )
    return Provenance(
        engine="torch" if engine == "torch" else "tensorflow",
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
    rows = [[block.name, *map(_short, (block.mean, block.rms, block.probe))] for block in found]
    table: dict[str, Any] = {"columns": list(_BLOCKS), "blocks": rows}
    if found and all(block.normalized for block in found):  # files of earlier versions have none
        table["normalized"] = [[_short(value) for value in block.normalized] for block in found]
    return table


def _load_blocks(reader: Reader) -> tuple[Block, ...]:
    _require_columns(reader, "forward", _BLOCKS)
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


def sentences(text: str) -> list[str]:
    """Split text after sentence ends and line ends, losing nothing: `"".join(sentences(text)) == text`."""
    import re

    return re.findall(r".+?(?:[.!?]+\s+|\n+|\Z)", text, flags=re.DOTALL)


def _short(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


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
