"""The tables of a classification record in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.classification.record import ClassificationRecord, ClassifiedInput, Loss
from pytest_hfmodels.kinds.layout import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.snapshots.toml_reader import Reader


def tables(record: ClassificationRecord) -> dict[str, Any]:
    """Return what a snapshot stores of a record."""
    found: dict[str, Any] = {
        "effective": {name: value for name, value in record.effective.items() if value is not None},
        "inputs": [
            {
                "text": row.text,
                "ids": list(row.ids),
                "label": row.label,
                "labels": list(row.labels),
                "logits": [rounded(value) for value in row.logits],
                "margin": rounded(row.margin),
            }
            for row in record.inputs
        ],
    }
    if record.loss is not None:
        found["loss"] = {"value": rounded(record.loss.value), "labels": list(record.loss.labels)}
    return found


def load(reader: Reader, shared: Mapping[str, Any]) -> ClassificationRecord:
    """Return the record of a snapshot."""
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
    return ClassificationRecord(effective=dict(reader.table("effective").values), inputs=inputs, loss=loss, **shared)
