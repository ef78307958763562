"""What a reader sees of classification records: a line for each text. Data; terminal and pages lay it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.base import Course, Part
from pytest_hfmodels.kinds.comparison import largest_movement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.classification.record import ClassificationRecord, ClassifiedInput


def summary(record: ClassificationRecord) -> str:
    """Return each text with its label."""
    return ", ".join(f"{row.text!r}: {row.label}" for row in record.inputs)


def texts(record: ClassificationRecord) -> dict[str, str]:
    """Return each text with its labels, then all logits and the loss: sides that part do so at a label first."""
    labels = (f"{row.text}: {row.label} ({', '.join(row.labels) or 'none'} above one half)" for row in record.inputs)
    logits = (f"logits {', '.join(f'{value:.5g}' for value in row.logits)}" for row in record.inputs)
    loss = () if record.loss is None else (f"loss {record.loss.value:.6g}",)
    return {"labels": "\n".join((*labels, *logits, *loss))}


def course(recorded: ClassificationRecord | None, observed: ClassificationRecord) -> Course:
    """Return both records text by text."""
    before = () if recorded is None else recorded.inputs
    return Course(
        unit="input",
        divergence=None,
        recorded=tuple(Part(row.margin) for row in before),
        observed=tuple(Part(row.margin) for row in observed.inputs),
        drift=tuple(_drift(before, observed.inputs)),
    )


def _drift(recorded: Sequence[ClassifiedInput], observed: Sequence[ClassifiedInput]) -> Iterator[float | None]:
    for before, now in zip(recorded, observed, strict=False):
        same_size = len(before.logits) == len(now.logits)
        yield largest_movement(*zip(before.logits, now.logits, strict=True)) if same_size else None
