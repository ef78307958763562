"""What differs between two classification records, and whether close decisions explain it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.comparison import Difference, first_divergence
from pytest_hfmodels.kinds.near_ties import Tie, floor_of_tie

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.classification.record import ClassificationRecord


def differences(recorded: ClassificationRecord, observed: ClassificationRecord) -> Iterator[Difference]:
    """Yield what differs, except numbers."""
    if len(recorded.inputs) != len(observed.inputs):
        yield Difference("prompt", "number of texts", len(recorded.inputs), len(observed.inputs))
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if before.ids != now.ids:
            token = first_divergence(before.ids, now.ids)
            yield Difference("prompt", f"ids of {now.text!r}", before.ids, now.ids, token)
        elif before.text != now.text:
            yield Difference("prompt", "classified text", before.text, now.text, position)
        if len(before.logits) != len(now.logits):
            what = f"number of logits of {now.text!r}"
            yield Difference("labels", what, len(before.logits), len(now.logits), position)
        if before.label != now.label:
            yield Difference("labels", f"label of {now.text!r}", before.label, now.label, position)
        if before.labels != now.labels:
            yield Difference("labels", f"labels of {now.text!r}", before.labels, now.labels, position)
    if (recorded.loss is None) != (observed.loss is None):
        yield Difference("settings", "loss", recorded.loss, observed.loss)
    elif recorded.loss and observed.loss and recorded.loss.labels != observed.loss.labels:
        yield Difference("settings", "labels given", recorded.loss.labels, observed.loss.labels)


def numbers(recorded: ClassificationRecord, observed: ClassificationRecord) -> Iterator[tuple[str, int, float, float]]:
    """Yield logits and margins of texts with as many logits as recorded, and the loss."""
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if len(before.logits) == len(now.logits):
            for value, value_now in zip(before.logits, now.logits, strict=True):
                yield "logit", position, value, value_now
            yield "margin of its labels", position, before.margin, now.margin
    if recorded.loss and observed.loss:
        yield "loss", 0, recorded.loss.value, observed.loss.value


def are_near_ties(
    recorded: ClassificationRecord, observed: ClassificationRecord, differences: Sequence[Difference]
) -> bool:
    """Return whether every label that differs was close to another label, or to one half."""
    if any(difference.stage != "labels" for difference in differences):
        return False
    ties = label_ties(recorded, observed)
    return bool(ties) and all(tie.proven for tie in ties)


def label_ties(recorded: ClassificationRecord, observed: ClassificationRecord) -> list[Tie]:
    """Return the figures of every reading of a classifier's logits that fell the other way."""
    floor = floor_of_tie(recorded, observed)
    found = []
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if len(before.logits) != len(now.logits):
            continue
        moved = [abs(then - here) for then, here in zip(before.logits, now.logits, strict=True)]
        drift = math.nan if any(map(math.isnan, moved)) else max(moved, default=0.0)
        if before.label != now.label:
            found.append(Tie(position, drift, floor, before.margin, now.margin))
        crossed = [pair for pair in zip(before.logits, now.logits, strict=True) if (pair[0] > 0) != (pair[1] > 0)]
        if before.labels != now.labels:
            sizes = [(abs(then), abs(here)) for then, here in crossed] or [(math.inf, math.inf)]
            found.append(Tie(position, drift, floor, *max(sizes)))
    return found


def least_close(recorded: ClassificationRecord, observed: ClassificationRecord) -> Tie | None:
    """Return the figures of the least close reading that fell the other way, or None."""
    return max(label_ties(recorded, observed), key=lambda tie: tie.margin, default=None)
