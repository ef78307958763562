"""The kind `generation`: one prompt, and the sequences that greedy or beam search generates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.generation import compare, show, tables
from pytest_hfmodels.kinds.generation.consistency import own_contradiction

if TYPE_CHECKING:
    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds.generation.record import GenerationRecord


def _explainer() -> Explainer[GenerationRecord]:
    from pytest_hfmodels.kinds.generation.explain import EXPLAINER  # computes with NumPy; only for a test that fails

    return EXPLAINER


KIND: Kind[GenerationRecord] = Kind(
    name="generation",
    tables=tables.tables,
    load=tables.load,
    tolerant=("steps", "beams", "frontier"),
    differences=compare.differences,
    numbers=compare.numbers,
    summary=lambda record: repr(record.text),
    texts=show.texts,
    inputs=lambda record: [(record.prompt.text, record.prompt.ids)],
    is_near_tie=compare.is_near_tie,
    contradiction=own_contradiction,
    course=show.course,
    movement=show.movement,
    detail=show.detail,
    explainer=_explainer,
)
