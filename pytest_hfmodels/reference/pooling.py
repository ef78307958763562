"""Which word of a row speaks for it: a causal classifier reads the logits of one position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.rules import Rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_hfmodels.reference.search import IntArray


def pooled_positions(ids: NDArray[Any], pad_token_id: int | None, rules: Rules | None = None) -> IntArray:
    """Return the position that GPT-2's classifier reads in each row.

    It should be the right-most token that is not padding (`Rules.pooling`, from 4.49 on). Before, it was the one in
    front of the first padding token, or the last one where that is none (4.32 to 4.48), and before that the one at
    the number of tokens that are no padding, as if all padding stood on the right. Transformer-XL's, which was removed,
    stayed with the first padding token from 4.32 on.

    Args:
        ids: (B, L).
        pad_token_id: the padding; None means that there is none (upstream then takes one row at a time).
        rules: a release's; without, the newest known.

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
