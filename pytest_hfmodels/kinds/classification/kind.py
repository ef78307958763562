"""The kind `classification`: a batch of texts, their logits and labels, and the loss if labels were given."""

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.classification import compare, show, tables
from pytest_hfmodels.kinds.classification.record import ClassificationRecord

KIND: Kind[ClassificationRecord] = Kind(
    name="classification",
    tables=tables.tables,
    load=tables.load,
    differences=compare.differences,
    numbers=compare.numbers,
    summary=show.summary,
    texts=show.texts,
    is_near_tie=compare.are_near_ties,
    course=show.course,
)
