"""The kind `embedding`: vectors are compared by cosine and by element, both within the tolerance."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_hfmodels.kinds.base import Kind
from pytest_hfmodels.kinds.comparison import Difference, first_divergence
from pytest_hfmodels.kinds.embedding.record import VECTORS, EmbeddedInput, EmbeddingRecord
from pytest_hfmodels.kinds.inputs import ModelInput, inputs_differ, inputs_table
from pytest_hfmodels.kinds.layout import as_table, rounded, settings_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.snapshots.toml_reader import TomlFile


class _Stored(msgspec.Struct):
    effective: dict[str, Any]
    inputs: tuple[EmbeddedInput, ...]
    cosines: tuple[float, ...] = ()
    processed: tuple[ModelInput, ...] = ()


class _Embedding(Kind[EmbeddingRecord]):
    name = "embedding"
    tolerant = ("cosines", "processed")
    relative = 0.1

    def tables(self, record: EmbeddingRecord) -> dict[str, Any]:
        return {
            **({"cosines": rounded(record.cosines)} if record.cosines else {}),
            "effective": settings_table(record.effective),
            "inputs": [as_table(row, "text", *(["ids"] if row.ids else [])) for row in record.inputs],
            **({"processed": inputs_table(record.processed)} if record.processed else {}),
        }

    def load(self, file: TomlFile, shared: Mapping[str, Any]) -> EmbeddingRecord:
        stored = file.convert(_Stored)
        array = shared["arrays"].get(VECTORS)
        if array is None or len(array.shape) != 2 or array.shape[0] != len(stored.inputs) or array.is_exact:
            raise file.error(f"there are no {VECTORS} of floats, one for each of the inputs", "arrays")
        pairs = len(stored.inputs) * (len(stored.inputs) - 1) // 2
        if len(stored.cosines) not in (0, pairs):
            raise file.error(f"there are {len(stored.cosines)} cosines for {pairs} pairs", "cosines")
        return EmbeddingRecord(**msgspec.structs.asdict(stored), **shared)

    def differences(self, recorded: EmbeddingRecord, observed: EmbeddingRecord) -> Iterator[Difference]:
        if len(recorded.inputs) != len(observed.inputs):
            yield Difference("prompt", "number of inputs", len(recorded.inputs), len(observed.inputs))
        for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
            if before.text != now.text:
                yield Difference("prompt", "embedded text", before.text, now.text, position)
            elif before.ids != now.ids:
                token = first_divergence(before.ids, now.ids)
                yield Difference("prompt", f"ids of {now.text!r}", before.ids, now.ids, token)
        yield from inputs_differ(recorded.processed, observed.processed)
        if len(recorded.inputs) == len(observed.inputs) and len(recorded.cosines) != len(observed.cosines):
            yield Difference("structure", "number of cosines", len(recorded.cosines), len(observed.cosines))

    def numbers(
        self, recorded: EmbeddingRecord, observed: EmbeddingRecord
    ) -> Iterator[tuple[str, int | None, float, float]]:
        sides = recorded.arrays[VECTORS], observed.arrays[VECTORS]
        if sides[0].shape != sides[1].shape:
            return
        for number, cosine in enumerate(_cosines_with(recorded, observed), 1):
            yield f"cosine of vector {number} with the recorded one", None, 1.0, cosine
        pairs = combinations(range(1, len(recorded.inputs) + 1), 2)
        for (one, other), before, now in zip(pairs, recorded.cosines, observed.cosines, strict=False):
            yield f"cosine of vectors {one} and {other}", None, before, now

    def texts(self, record: EmbeddingRecord) -> dict[str, str]:
        pairs = combinations(range(1, len(record.inputs) + 1), 2)
        cosines = [
            f"cosine of vectors {one} and {other}: {cosine:.5g}"
            for (one, other), cosine in zip(pairs, record.cosines, strict=False)
        ]
        vectors = f"{VECTORS}: {record.arrays[VECTORS]}"
        return {"embeddings": "\n".join([*(row.text for row in record.inputs), vectors, *cosines])}

    def inputs(self, record: EmbeddingRecord) -> list[tuple[str, tuple[int, ...]]]:
        return [(row.text, row.ids) for row in record.inputs]

    def explainer(self) -> Explainer[EmbeddingRecord]:
        from pytest_hfmodels.kinds.embedding.explain import EXPLAINER  # computes with NumPy

        return EXPLAINER


def _cosines_with(recorded: EmbeddingRecord, observed: EmbeddingRecord) -> list[float]:
    """Return the cosine of each vector with the recorded one; 1 for two of zeros."""
    import numpy as np

    then, now = (record.vectors.astype(np.float64) for record in (recorded, observed))
    norms = np.linalg.norm(then, axis=1) * np.linalg.norm(now, axis=1)
    found = (then * now).sum(axis=1) / np.where(norms == 0, 1.0, norms)
    return [float(one) for one in np.where((then == now).all(axis=1), 1.0, found)]


KIND = _Embedding()
