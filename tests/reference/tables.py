"""Models that are a table: what comes next depends on the last word, or on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.reference import Logits
    from pytest_hfmodels.reference.search import FloatArray, IntArray


def after_last_word(probabilities: Mapping[int, Sequence[float]]) -> Logits:
    """Return a model whose next word's probabilities follow from the last word."""

    def logits(ids: IntArray, mask: IntArray) -> FloatArray:
        assert mask.shape == ids.shape
        with np.errstate(divide="ignore"):
            return np.log([probabilities[int(word)] for word in ids[:, -1]])

    return logits


def drawn(vocabulary: int, seed: int) -> Logits:
    """Return a model whose logits are normal numbers that follow from everything so far."""

    def logits(ids: IntArray, mask: IntArray) -> FloatArray:
        del mask
        return np.stack([np.random.default_rng([seed, *row]).standard_normal(vocabulary) for row in ids.tolist()])

    return logits
