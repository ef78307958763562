"""The kind `batch`: several prompts in one `generate`. Each row is stored, compared and shown as a generation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.batch.record import BatchRecord
from pytest_hfmodels.kinds.comparison import Difference
from pytest_hfmodels.kinds.generation.kind import KIND as GENERATION
from pytest_hfmodels.kinds.generation.kind import (
    STEPS,
    StepRow,
    StoredBeam,
    StoredMedia,
    features_of,
    media_differ,
    media_tables,
    media_texts,
)
from pytest_hfmodels.kinds.generation.record import GenerationRecord, Prompt, Step
from pytest_hfmodels.kinds.layout import TokenId, sentences, settings_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.base import Course
    from pytest_hfmodels.kinds.comparison import Comparison, Detail
    from pytest_hfmodels.kinds.tolerance import Tolerance
    from pytest_hfmodels.snapshots.toml_reader import TomlFile


class _Row(msgspec.Struct):
    prompt: str
    ids: tuple[TokenId, ...]
    padding: int
    text: list[str]
    steps: list[StepRow]
    beams: list[StoredBeam] = []


class _Batch(msgspec.Struct):
    padding_side: str
    columns: list[str]
    decoder_start: tuple[TokenId, ...] = ()
    fingerprinted: Annotated[int, msgspec.Meta(ge=0)] | None = None  # files of earlier versions have none


class _Stored(StoredMedia, kw_only=True):
    effective: dict[str, Any]
    batch: _Batch
    rows: list[_Row]


class _Kind(Kind[BatchRecord]):
    name = "batch"
    tolerant = ("rows", "processed")

    def tables(self, record: BatchRecord) -> dict[str, Any]:
        return {
            "effective": settings_table(record.effective),
            "batch": {**_batch_table(record.rows[0].start), **_fingerprinted_table(record)},
            **media_tables(record.rows[0]),
            "rows": [_table(row, record.length) for row in record.rows],
        }

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> BatchRecord:
        stored = file.convert(_Stored)
        if stored.batch.columns != STEPS:
            raise file.error(f"the columns are not {', '.join(STEPS)}", "batch", "columns")
        if not stored.rows:
            raise file.error("there are no rows", "rows")
        side = _batch_table(stored.batch.decoder_start)["padding_side"]
        if stored.batch.padding_side != side:
            raise file.error(f"it must be {side!r}: generate pads this model there", "batch", "padding_side")
        if (stored.batch.fingerprinted or 0) >= len(stored.rows):
            raise file.error(f"there are only {len(stored.rows)} rows, counted from 0", "batch", "fingerprinted")
        rows = tuple(_row(row, stored, shared) for row in stored.rows)
        found = BatchRecord(rows=rows, fingerprinted=stored.batch.fingerprinted, **shared)
        for number, row in enumerate(stored.rows):
            if row.padding != found.length - len(row.ids):
                raise file.error("it is not what the longest prompt leaves", "rows", str(number), "padding")
        return replace(found, effective=stored.effective)

    def differences(self, recorded: BatchRecord, observed: BatchRecord) -> Iterator[Difference]:
        if len(recorded.rows) != len(observed.rows):
            yield Difference("prompt", "number of prompts", len(recorded.rows), len(observed.rows))
            return
        yield from media_differ(recorded.rows[0], observed.rows[0])
        for number, before, now in _pairs(recorded, observed):
            for found in GENERATION.row_differences(before, now):
                detail = GENERATION.detail(found, before, now)
                yield replace(found, what=f"{_row_name(number)}{found.what}", detail=detail)

    def numbers(self, recorded: BatchRecord, observed: BatchRecord) -> Iterator[tuple[str, int, float, float]]:
        for number, before, now in _pairs(recorded, observed):
            for what, position, then, here in GENERATION.numbers(before, now):
                yield f"{_row_name(number)}{what}", position, then, here

    def texts(self, record: BatchRecord) -> dict[str, str]:
        return {f"row {number}": row.text for number, row in enumerate(record.rows, 1)}

    def features(self, record: BatchRecord) -> tuple[str, ...]:
        return features_of(record.effective)

    def inputs(self, record: BatchRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [*((row.prompt.text, row.prompt.ids) for row in record.rows), *media_texts(record.rows[0])]

    def is_near_tie(self, recorded: BatchRecord, observed: BatchRecord, differences: Sequence[Difference]) -> bool:
        differing = [pair for pair in row_differences(recorded, observed, differences) if pair[3]]
        shared = any(difference.stage in ("prompt", "inputs", "settings") for difference in differences)
        return not shared and all(
            any(one.stage != "numbers" for one in own) and GENERATION.is_near_tie(before, now, own)
            for _, before, now, own in differing
        )

    def contradiction(self, record: BatchRecord, tolerance: Tolerance) -> str | None:
        for number, row in enumerate(record.rows):
            found = GENERATION.contradiction(row, tolerance)
            if found is not None:
                return f"row {number + 1}: in the batch the model works differently than for this prompt alone; {found}"
        return None

    def course(self, recorded: BatchRecord | None, observed: BatchRecord) -> Course | None:
        if recorded is None or len(recorded.rows) != len(observed.rows):
            return GENERATION.course(None, observed.rows[0])
        pairs = list(zip(recorded.rows, observed.rows, strict=True))
        # The first row of other tokens, or else of other numbers.
        before, now = min(pairs, key=lambda pair: (pair[0].ids == pair[1].ids, pair[0] == pair[1]))
        return GENERATION.course(before, now)

    def movement(self, recorded: BatchRecord, observed: BatchRecord, comparison: Comparison) -> float | None:
        moved = [GENERATION.movement(before, now, comparison) for _, before, now in _pairs(recorded, observed)]
        return max((one for one in moved if one is not None), default=None)

    def detail(self, difference: Difference, recorded: BatchRecord, observed: BatchRecord) -> Detail | None:  # noqa: ARG002
        return difference.detail

    def explainer(self) -> Explainer[BatchRecord]:
        from pytest_hfmodels.kinds.batch.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


def row_differences(
    recorded: BatchRecord, observed: BatchRecord, differences: Sequence[Difference]
) -> Iterator[tuple[int, GenerationRecord, GenerationRecord, list[Difference]]]:
    """Yield each row's number, both records of it, and its own differences by the names that a generation has."""
    for number, before, now in _pairs(recorded, observed):
        name = _row_name(number)
        own = [one for one in differences if one.what.startswith(name)]
        yield number, before, now, [replace(one, what=one.what.removeprefix(name)) for one in own]


def _pairs(recorded: BatchRecord, observed: BatchRecord) -> Iterator[tuple[int, GenerationRecord, GenerationRecord]]:
    if len(recorded.rows) == len(observed.rows):
        yield from ((number, *pair) for number, pair in enumerate(zip(recorded.rows, observed.rows, strict=True)))


def _row_name(number: int) -> str:
    return f"row {number + 1}: "


def _table(row: GenerationRecord, longest: int) -> dict[str, Any]:
    """Return a row as TOML."""
    whole = GENERATION.tables(row)
    found = {
        "prompt": row.prompt.text,
        "ids": list(row.prompt.ids),
        "padding": longest - len(row.prompt.ids),
        "text": sentences(row.text),
        "steps": whole["steps"]["rows"],
    }
    return {**found, "beams": whole["beams"]} if row.beams else found


def _batch_table(start: tuple[int, ...]) -> dict[str, Any]:
    side = {"padding_side": "right", "decoder_start": list(start)} if start else {"padding_side": "left"}
    return {**side, "columns": STEPS}


def _fingerprinted_table(record: BatchRecord) -> dict[str, Any]:
    return {} if record.fingerprinted is None else {"fingerprinted": record.fingerprinted}


def _row(row: _Row, stored: _Stored, shared: Mapping[str, Any]) -> GenerationRecord:
    return GenerationRecord(
        prompt=Prompt(row.prompt, row.ids),
        start=stored.batch.decoder_start,
        effective=stored.effective,
        steps=tuple(Step(*step) for step in row.steps),
        beams=tuple(beam.record() for beam in row.beams),
        beam_cutoff_margin=(),
        text="".join(row.text),
        media=stored.media,
        processed=stored.processed,
        **shared,
    )


KIND = _Kind()
