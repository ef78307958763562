"""The kind `classification`: a batch of texts, their logits and labels, and the loss if labels were given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.base import Course, Kind
from pytest_hfmodels.kinds.classification.record import ClassificationRecord, ClassifiedInput, Loss
from pytest_hfmodels.kinds.comparison import Difference, first_divergence, largest_movement
from pytest_hfmodels.kinds.inputs import ModelInput, as_text, inputs_differ, inputs_table, short_name
from pytest_hfmodels.kinds.layout import as_table, rounded, settings_table
from pytest_hfmodels.kinds.tolerance import Tie, all_proven, floor_of_tie

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile

_INPUT = ("text", "ids", "label", "labels", "logits", "margin")
_OF_SOME = ("pair", "types")


class _Stored(msgspec.Struct):
    effective: dict[str, Any]
    inputs: tuple[ClassifiedInput, ...] = ()
    loss: Loss | None = None
    processed: tuple[ModelInput, ...] = ()


class _Classification(Kind[ClassificationRecord]):
    name = "classification"
    tolerant = ("inputs", "loss.value")
    relative = 0.1  # a regression's outputs have any size

    def tables(self, record: ClassificationRecord) -> dict[str, Any]:
        loss = record.loss
        return {
            "effective": settings_table(record.effective),
            "inputs": [
                as_table(row, *_INPUT, *(name for name in _OF_SOME if getattr(row, name))) for row in record.inputs
            ],
            **({"processed": inputs_table(record.processed)} if record.processed else {}),
            **({} if loss is None else {"loss": {"value": rounded(loss.value), "labels": list(loss.labels)}}),
        }

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> ClassificationRecord:
        return ClassificationRecord(**msgspec.structs.asdict(file.convert(_Stored)), **shared)

    def differences(self, recorded: ClassificationRecord, observed: ClassificationRecord) -> Iterator[Difference]:
        if len(recorded.inputs) != len(observed.inputs):
            yield Difference("prompt", "number of texts", len(recorded.inputs), len(observed.inputs))
        for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
            yield from _differences(position, before, now)
        yield from inputs_differ(recorded.processed, observed.processed)
        if (recorded.loss is None) != (observed.loss is None):
            yield Difference("settings", "loss", recorded.loss, observed.loss)
        elif recorded.loss and observed.loss and recorded.loss.labels != observed.loss.labels:
            yield Difference("settings", "labels given", recorded.loss.labels, observed.loss.labels)

    def numbers(
        self, recorded: ClassificationRecord, observed: ClassificationRecord
    ) -> Iterator[tuple[str, int, float, float]]:
        for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
            if len(before.logits) == len(now.logits):
                for value, value_now in zip(before.logits, now.logits, strict=True):
                    yield "logit", position, value, value_now
                yield "margin of its labels", position, before.margin, now.margin
        if recorded.loss and observed.loss:
            yield "loss", 0, recorded.loss.value, observed.loss.value

    def texts(self, record: ClassificationRecord) -> dict[str, str]:
        labels = [f"{row.label}: {as_text(row)}" for row in record.inputs]
        rows = list(enumerate(record.inputs, 1))
        above = [
            f"text {number}, above one half: {', '.join(row.labels) or 'none'}"
            for number, row in rows
            if row.labels != (row.label,)
        ]
        logits = [f"text {number}, logits: {', '.join(f'{value:.5g}' for value in row.logits)}" for number, row in rows]
        loss = [] if record.loss is None else [f"loss: {record.loss.value:.6g}"]
        return {"labels": "\n".join([*labels, *above, *logits, *loss])}

    def features(self, record: ClassificationRecord) -> tuple[str, ...]:  # noqa: ARG002 - each one is a classifier's
        return ("classifier",)

    def inputs(self, record: ClassificationRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [(as_text(row), row.ids) for row in record.inputs]

    def is_near_tie(
        self, recorded: ClassificationRecord, observed: ClassificationRecord, differences: Sequence[Difference]
    ) -> bool:
        if any(difference.stage != "labels" for difference in differences):
            return False
        return all_proven(label_ties(recorded, observed))

    def course(self, recorded: ClassificationRecord | None, observed: ClassificationRecord) -> Course:
        before = () if recorded is None else recorded.inputs
        sides = ([(row.margin, row.logits) for row in rows] for rows in (before, observed.inputs))
        return Course.independent("input", *sides)

    def explainer(self) -> Explainer[ClassificationRecord]:
        from pytest_hfmodels.kinds.classification.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


def _differences(position: int, before: ClassifiedInput, now: ClassifiedInput) -> Iterator[Difference]:
    if before.ids != now.ids:
        token = first_divergence(before.ids, now.ids)
        yield Difference("prompt", f"ids of {now.text!r}", before.ids, now.ids, token)
    elif as_text(before) != as_text(now):
        yield Difference("prompt", "classified text", as_text(before), as_text(now), position)
    elif before.types != now.types:
        yield Difference("inputs", f"token types of {as_text(now)}", before.types, now.types, position)
    sides = {
        "number of logits": (len(before.logits), len(now.logits)),
        "label": (before.label, now.label),
        # A single number ranks, or is the value of a regression: the label follows from its sign, which says nothing.
        "labels above one half": _apart(before, now) if len(now.logits) > 1 or _same_signs(before, now) else ((), ()),
    }
    for what, (value, value_now) in sides.items():
        if value != value_now:
            yield Difference("labels", f"{what} of {short_name(as_text(now))!r}", value, value_now, position)


def _apart(before: ClassifiedInput, now: ClassifiedInput) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels that only one side has, or all of them if only the order differs."""
    lost = tuple(label for label in before.labels if label not in now.labels)
    new = tuple(label for label in now.labels if label not in before.labels)
    return (lost, new) if lost or new else (before.labels, now.labels)


def _same_signs(before: ClassifiedInput, now: ClassifiedInput) -> bool:
    return all(then * here > 0 for then, here in zip(before.logits, now.logits, strict=False))


def label_ties(recorded: ClassificationRecord, observed: ClassificationRecord) -> list[Tie]:
    """Return the figures of every reading of a classifier's logits that fell the other way."""
    floor = floor_of_tie(recorded, observed)
    found = []
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if len(before.logits) != len(now.logits):
            continue
        drift = largest_movement(before.logits, now.logits)
        if before.label != now.label:
            found.append(Tie(position, drift, floor, before.margin, now.margin))
        if before.labels != now.labels and len(now.logits) > 1:
            pairs = zip(before.logits, now.logits, strict=True)
            crossed = [(abs(then), abs(here)) for then, here in pairs if (then > 0) != (here > 0)]
            found.append(Tie(position, drift, floor, *max(crossed, default=(math.inf, math.inf))))
    return found


KIND = _Classification()
