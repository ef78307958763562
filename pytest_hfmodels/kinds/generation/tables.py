"""The tables of a generation record in a snapshot."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.generation.record import Beam, GenerationRecord, Prompt, Step
from pytest_hfmodels.kinds.layout import TokenId, rounded, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_STEPS = ["id", "text", "log-probability", "processed", "margin", "runner-up", "runner-up text"]


def tables(record: GenerationRecord) -> dict[str, Any]:
    """Return what a snapshot stores of a record."""
    found: dict[str, Any] = {
        "prompt": {"text": record.prompt.text, "ids": list(record.prompt.ids)},
        "effective": {name: value for name, value in record.effective.items() if value is not None},
        "output": {"text": sentences(record.text)},
        "steps": {
            "columns": _STEPS,
            "rows": [[rounded(value) for value in asdict(step).values()] for step in record.steps],
        },
    }
    if record.beams:
        found["beams"] = [
            {"ids": list(beam.ids), "score": rounded(beam.score), "text": sentences(beam.text)} for beam in record.beams
        ]
        found["frontier"] = {"gaps": [rounded(gap) for gap in record.frontier]}
    return found


class _Prompt(msgspec.Struct):
    text: str
    ids: tuple[TokenId, ...]


class _Output(msgspec.Struct):
    text: list[str]


class _StepTable(msgspec.Struct):
    columns: list[str]
    rows: list[tuple[TokenId, str, float, float, float, TokenId, str]]


class _Beam(msgspec.Struct):
    ids: tuple[TokenId, ...]
    score: float
    text: list[str]


class _Frontier(msgspec.Struct):
    gaps: tuple[float, ...] = ()


class _GenerationTables(msgspec.Struct):
    prompt: _Prompt
    effective: dict[str, Any]
    output: _Output
    steps: _StepTable
    beams: list[_Beam] = []
    frontier: _Frontier = msgspec.field(default_factory=_Frontier)


def load(file: TomlFile, shared: Mapping[str, Any]) -> GenerationRecord:
    """Return the record of a snapshot."""
    stored = file.convert(_GenerationTables)
    text = "".join(stored.output.text)
    if stored.steps.columns != _STEPS:
        raise file.error(f"the columns are not {', '.join(_STEPS)}", "steps", "columns")
    for beam in stored.beams[:1]:  # a recorded one is always the output: the file was edited
        if list(beam.ids) != [row[0] for row in stored.steps.rows]:
            raise file.error("the ids of the first beam are not the ids in steps.rows", "beams", "0", "ids")
        if "".join(beam.text) != text:
            raise file.error("the text of the first beam is not output.text", "beams", "0", "text")
    return GenerationRecord(
        prompt=Prompt(stored.prompt.text, stored.prompt.ids),
        effective=stored.effective,
        steps=tuple(Step(*row) for row in stored.steps.rows),
        beams=tuple(Beam(beam.ids, beam.score, "".join(beam.text)) for beam in stored.beams),
        frontier=stored.frontier.gaps,
        text=text,
        **shared,
    )
