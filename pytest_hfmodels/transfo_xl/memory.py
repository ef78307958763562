"""Segment recurrence (Dai et al. 2019, section 3.2): a layer's memory, and the words that it may attend to.

For the models and `segments`, inside this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch

from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig

# One tensor (M, B, C) a layer: what entered that layer at the last M words.
Memory: TypeAlias = list[torch.Tensor]


def blank_memory(config: TransfoXLConfig, length: int, batch_size: int, like: torch.Tensor) -> Memory:
    """Return `length` words of zeros for each layer.

    They are no mask: a model that starts with `mem_len` of them, as published models do, attends to them. With
    length 0 it sees nothing but its text.

    Args:
        config: for the number of layers and the width C.
        length: words, M.
        batch_size: rows, B.
        like: gives the dtype and the device.
    """
    return [like.new_zeros(length, batch_size, config.d_model) for _ in range(config.n_layer)]


def check_memory(mems: Sequence[torch.Tensor], config: TransfoXLConfig, batch_size: int) -> None:
    """Refuse the memory of another model or another batch.

    Raises:
        CheckpointError: saying how many layers and which shape (M, B, C) were expected and found.
    """
    if len(mems) != config.n_layer:
        raise CheckpointError(
            f"mems come from another model: expected {config.n_layer} tensors, one per layer, found {len(mems)}.",
            hint=_OWN_MEMORY,
        )
    for layer, memory in enumerate(mems):
        wanted = (mems[0].shape[0], batch_size, config.d_model)
        if tuple(memory.shape) != wanted:
            raise CheckpointError(
                f"mems do not fit: expected {list(wanted)} (words, batch, d_model) for layer {layer}, "
                f"found {list(memory.shape)}.",
                hint=_OWN_MEMORY,
            )


def remember(mems: Memory, hidden: Sequence[torch.Tensor], mem_len: int) -> Memory:
    """Return the next segment's memory: the last `mem_len` words of the old memory and of this segment.

    `SG(.)` in the paper: no gradient flows into it.

    Args:
        mems: the memory that this segment saw, (M, B, C) a layer.
        hidden: what entered each layer in this segment, (B, L, C) each.
        mem_len: words to keep.
    """
    with torch.no_grad():
        return [
            torch.cat([_last(old, mem_len - new.shape[1]), _last(new.transpose(0, 1), mem_len)])
            for old, new in zip(mems, hidden, strict=True)
        ]


def _last(words: torch.Tensor, count: int) -> torch.Tensor:
    """Return the last `count` of `words`, (M, B, C); all where there are fewer, none where `count` is below 1."""
    return words[max(0, words.shape[0] - max(0, count)) :]


def unseen(length: int, remembered: int, window: int | None, device: torch.device) -> torch.Tensor:
    """Return which words each word may not attend to, (L, M + L) bool.

    Args:
        length: words of this segment, L.
        remembered: words of memory before it, M.
        window: words that each may look back on, itself included (`same_length`), or None for all. With 0 even
            itself is unseen, and a softmax over nothing but unseen words is uniform: published behaviour of
            `same_length` with `mem_len=0`.
        device: where.
    """
    query = torch.arange(remembered, remembered + length, device=device)[:, None]
    key = torch.arange(remembered + length, device=device)[None, :]
    distance = query - key
    return distance < 0 if window is None else (distance < 0) | (distance >= window)


_OWN_MEMORY = "Pass the `mems` that this model returned for the segment before, of the same batch, or none."
