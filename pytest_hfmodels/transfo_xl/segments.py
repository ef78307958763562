"""A text read segment by segment (Dai et al. 2019, section 3.2): the log-probabilities that memory makes possible.

For suites and users; works with upstream's language model too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from pytest_hfmodels.transfo_xl.memory import Memory


def segment_log_probabilities(
    model: Any, ids: torch.Tensor, segment: int, *, carry: bool = True, mems: Memory | None = None
) -> torch.Tensor:
    """Return the log-probability of each word but the first, (B, L - 1), with the text read in segments.

    With `same_length` that is the same for every `segment`: each word sees as many words, real or blank. Without
    it, a text that starts with `mem_len` blank words sees fewer of them in a later segment; start with
    `mems=blank_memory(config, 0, ...)` for the same log-probabilities there.

    Args:
        model: a Transformer-XL language model, ours or upstream's.
        ids: (B, L) int64.
        segment: words of a segment; L or more reads all in one pass.
        carry: whether a segment sees the ones before; without, each starts like a text of its own.
        mems: the memory to start from; None for the model's own start.

    Raises:
        CheckpointError: the text is empty, or longer than the memory, so that its start would be forgotten.
    """
    length, mem_len = ids.shape[1], model.config.mem_len
    if length < 1:
        raise CheckpointError("The text is empty: there is nothing to read in segments.", hint="Give it a word.")
    if length > mem_len:
        raise CheckpointError(
            f"The text of {length} words is longer than the memory of {mem_len}: its first {length - mem_len} words "
            "are forgotten before its end is read.",
            hint="Shorten the text, or load the model with a longer mem_len.",
        )
    parts, carried = [], mems
    with torch.no_grad():
        for words in torch.split(ids, segment, dim=1):
            output = model(words, mems=carried, return_dict=True)
            carried = output.mems if carry else mems
            parts.append(output.prediction_scores)
    return torch.cat(parts, dim=1)[:, :-1].gather(2, ids[:, 1:, None]).squeeze(2)
