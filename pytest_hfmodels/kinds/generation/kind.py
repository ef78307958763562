"""The kind `generation`: one prompt, and the sequences that greedy or beam search generates."""

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.generation import compare, show, tables
from pytest_hfmodels.kinds.generation.consistency import own_contradiction
from pytest_hfmodels.kinds.generation.record import GenerationRecord

KIND: Kind[GenerationRecord] = Kind(
    name="generation",
    tables=tables.tables,
    load=tables.load,
    differences=compare.differences,
    numbers=compare.numbers,
    summary=lambda record: repr(record.text),
    texts=show.texts,
    is_near_tie=compare.is_near_tie,
    contradiction=own_contradiction,
    course=show.course,
    movement=show.movement,
    detail=show.detail,
)
