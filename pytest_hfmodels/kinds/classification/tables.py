"""The tables of a classification record in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.classification.record import ClassificationRecord, ClassifiedInput, Loss
from pytest_hfmodels.kinds.layout import TokenId, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.snapshots.toml_reader import TomlFile


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


class _Input(msgspec.Struct):
    text: str
    ids: tuple[TokenId, ...]
    logits: tuple[float, ...]
    label: str
    margin: float
    labels: tuple[str, ...]


class _Loss(msgspec.Struct):
    value: float
    labels: tuple[Any, ...]


class _ClassificationTables(msgspec.Struct):
    effective: dict[str, Any]
    inputs: list[_Input] = []
    loss: _Loss | None = None


def load(file: TomlFile, shared: Mapping[str, Any]) -> ClassificationRecord:
    """Return the record of a snapshot."""
    stored = file.convert(_ClassificationTables)
    return ClassificationRecord(
        effective=stored.effective,
        inputs=tuple(ClassifiedInput(*msgspec.structs.astuple(row)) for row in stored.inputs),
        loss=None if stored.loss is None else Loss(stored.loss.value, stored.loss.labels),
        **shared,
    )
