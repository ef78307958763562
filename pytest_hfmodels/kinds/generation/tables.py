"""The tables of a generation record in a snapshot."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.generation.record import Beam, GenerationRecord, Prompt, Step
from pytest_hfmodels.kinds.layout import rounded, sentences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.snapshots.toml_reader import Reader

_STEPS = ("id", "text", "log-probability", "processed", "margin", "runner-up", "runner-up text")


def tables(record: GenerationRecord) -> dict[str, Any]:
    """Return what a snapshot stores of a record."""
    found: dict[str, Any] = {
        "prompt": {"text": record.prompt.text, "ids": list(record.prompt.ids)},
        "effective": {name: value for name, value in record.effective.items() if value is not None},
        "output": {"text": sentences(record.text)},
        "steps": {
            "columns": list(_STEPS),
            "rows": [[rounded(value) for value in asdict(step).values()] for step in record.steps],
        },
    }
    if record.beams:
        found["beams"] = [
            {"ids": list(beam.ids), "score": rounded(beam.score), "text": sentences(beam.text)} for beam in record.beams
        ]
        found["frontier"] = {"gaps": [rounded(gap) for gap in record.frontier]}
    return found


def load(reader: Reader, shared: Mapping[str, Any]) -> GenerationRecord:
    """Return the record of a snapshot."""
    reader.require_columns("steps", _STEPS)
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
        prompt=Prompt(text=prompt.string("text"), ids=prompt.integers("ids")),
        effective=dict(reader.table("effective").values),
        steps=steps,
        beams=beams,
        frontier=reader.table("frontier").numbers("gaps") if beams else (),
        text=text,
        **shared,
    )


def _require_first_beam(reader: Reader, beam: Beam, steps: Sequence[Step], text: str) -> None:
    """Refuse a first beam that is not the output: a recorded one always is, so the file was edited."""
    first = next(reader.tables("beams"))
    if beam.ids != tuple(step.id for step in steps):
        raise first.error(("ids",), "the ids of the first beam are not the ids in steps.rows")
    if beam.text != text:
        raise first.error(("text",), "the text of the first beam is not output.text")
