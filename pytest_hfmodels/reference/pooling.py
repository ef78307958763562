"""Which word of a row a causal classifier reads: its logits are those of one position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.rules import Rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_hfmodels.reference.search import IntArray


def pooled_positions(ids: NDArray[Any], pad_token_id: int | None, rules: Rules | None = None) -> IntArray:
    """Return the position that GPT-2's classifier reads in each row.

    It should be the right-most token that is not padding (`Rules.pooling`, from 4.49 on). From 4.32 to 4.48 it was the
    one before the first padding token, or the last one if there is no padding; before 4.32 the one at the number of
    tokens that are not padding, as if all padding were on the right. Transformer-XL's classifier reads the one before
    the first padding token from 4.32 until its removal.

    Args:
        ids: (B, L).
        pad_token_id: the padding; None if there is none (upstream then takes one row at a time).
        rules: those of a release; by default the newest known.

    Returns:
        (B,), 0 to L - 1.
    """
    pooling = (rules or Rules()).pooling
    length = ids.shape[1]
    if pad_token_id is None:
        return np.full(len(ids), length - 1, np.int64)
    words = ids != pad_token_id
    if pooling == "count":
        return np.asarray((words.sum(axis=1) - 1) % length, np.int64)
    if pooling == "first-padding":
        return np.asarray((words.argmin(axis=1) - 1) % length, np.int64)
    return np.asarray((words * np.arange(length)).argmax(axis=1), np.int64)
