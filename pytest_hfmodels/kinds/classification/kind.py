"""The kind `classification`: a batch of texts, their logits and labels, and the loss if labels were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.classification import compare, show, tables

if TYPE_CHECKING:
    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.classification.record import ClassificationRecord


def _explainer() -> Explainer[ClassificationRecord]:
    from pytest_hfmodels.kinds.classification.explain import (
        EXPLAINER,  # computes with NumPy; only for a test that fails
    )

    return EXPLAINER


KIND: Kind[ClassificationRecord] = Kind(
    name="classification",
    tables=tables.tables,
    load=tables.load,
    tolerant=("inputs", "loss.value"),
    differences=compare.differences,
    numbers=compare.numbers,
    summary=show.summary,
    texts=show.texts,
    inputs=lambda record: [(row.text, row.ids) for row in record.inputs],
    is_near_tie=compare.are_near_ties,
    course=show.course,
    explainer=_explainer,
)
