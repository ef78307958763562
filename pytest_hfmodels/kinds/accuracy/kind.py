"""The kind `accuracy`: the number may rise, and fall by what the test allows; which rows are wrong is evidence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.accuracy.record import AccuracyRecord, WrongRow
from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.comparison import Detail, Difference, Passage
from pytest_hfmodels.kinds.inputs import ModelInput, inputs_table
from pytest_hfmodels.kinds.layout import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_ROUNDING = 1e-9
_FLIPPED = 12  # row numbers in a sentence


class _Accuracy(msgspec.Struct):
    """`value` follows from the others, and is written for a reader."""

    value: float
    rows: int
    wrong: int
    digest: str
    tokens: str = ""


class _Stored(msgspec.Struct):
    accuracy: _Accuracy
    effective: dict[str, Any]
    wrong: list[tuple[int, str, str, str]] = []
    processed: tuple[ModelInput, ...] = ()


class _Kind(Kind[AccuracyRecord]):
    name = "accuracy"

    def tables(self, record: AccuracyRecord) -> dict[str, Any]:
        numbers = {"value": rounded(record.value), "rows": record.count, "wrong": len(record.wrong)}
        wrong = [[row.number, row.text, row.label, row.answer] for row in record.wrong]
        digests = {"digest": record.digest, **({"tokens": record.tokens} if record.tokens else {})}
        made = {"processed": inputs_table(record.processed)} if record.processed else {}
        return {"effective": record.effective, "accuracy": {**numbers, **digests}, "wrong": wrong, **made}

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> AccuracyRecord:
        stored = file.convert(_Stored)
        own = stored.accuracy
        if own.wrong != len(stored.wrong) or not 0 <= own.wrong <= own.rows or own.rows < 1:
            raise file.error("it does not fit the rows and the wrong ones", "accuracy", "wrong")
        if not math.isclose(own.value, (own.rows - own.wrong) / own.rows, rel_tol=1e-6):
            raise file.error("it does not follow from the rows and the wrong ones", "accuracy", "value")
        numbers = [row[0] for row in stored.wrong]
        if numbers != sorted({*numbers}) or not all(0 < number <= own.rows for number in numbers):
            raise file.error("the row numbers must be in order and no larger than the number of rows", "wrong")
        wrong = tuple(WrongRow(*row) for row in stored.wrong)
        return AccuracyRecord(
            count=own.rows,
            digest=own.digest,
            wrong=wrong,
            tokens=own.tokens,
            processed=stored.processed,
            effective=stored.effective,
            **shared,
        )

    def differences(self, recorded: AccuracyRecord, observed: AccuracyRecord) -> Iterator[Difference]:
        if (recorded.digest, recorded.count) != (observed.digest, observed.count):
            yield Difference("prompt", "rows", f"{recorded.count} rows", f"{observed.count} other rows")
            return
        yield from _edited(recorded, observed)
        if recorded.value - observed.value <= observed.effective["may_fall"] + _ROUNDING:
            return
        before, now = ({row.number: row for row in side.wrong} for side in (recorded, observed))
        flipped = sorted(before.keys() ^ now.keys())
        then, here = (Passage("", f"{side.value:.4g}") for side in (recorded, observed))
        shown = ", ".join(map(str, flipped[:_FLIPPED])) + (", …" if len(flipped) > _FLIPPED else "")
        figures = (f"{len(flipped)} of {recorded.count} rows flipped: {shown}",)
        detail = Detail(then, here, title="accuracy", figures=figures)
        values = rounded(recorded.value), rounded(observed.value)
        yield Difference("labels", "accuracy", *values, detail=detail)
        for number in flipped:
            row = now.get(number) or before[number]
            sides = (row.label, row.answer) if number in now else (row.answer, row.label)
            yield Difference("labels", f"row {number}, {row.text!r:.60}", *sides, position=number - 1)

    def explainer(self) -> Explainer[AccuracyRecord]:
        from pytest_hfmodels.kinds.accuracy.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER

    def texts(self, record: AccuracyRecord) -> dict[str, str]:
        wrong = (f"row {row.number}: {row.text} -> {row.answer}, not {row.label}" for row in record.wrong)
        right = record.count - len(record.wrong)
        return {"rows": "\n".join([f"{right} of {record.count} rows right ({record.value:.4g})", *wrong])}

    def inputs(self, record: AccuracyRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [(f"{record.count} rows, {record.digest}", ())]


def _edited(recorded: AccuracyRecord, observed: AccuracyRecord) -> Iterator[Difference]:
    """Yield what the file says of a row of the same digest, if the row says something else: the file was edited."""
    rows = {row.number: row for row in observed.wrong}
    for before in recorded.wrong:
        now = rows.get(before.number, before)
        for name in ("text", "label"):
            if getattr(before, name) != getattr(now, name):
                what = f"recorded {name} of row {before.number}"
                yield Difference("labels", what, getattr(before, name), getattr(now, name), position=before.number - 1)


KIND = _Kind()
