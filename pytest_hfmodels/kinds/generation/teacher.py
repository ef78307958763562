"""One forward pass over the prompt and the recorded tokens, and how far their numbers moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.comparison import abs_diff
from pytest_hfmodels.kinds.evidence import fingerprint, log_softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines import ForwardPass, LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray
    from pytest_hfmodels.explain.case import Passes
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.generation.record import GenerationRecord


@dataclass(frozen=True)
class TeacherForcedPass:
    """One forward pass over the prompt and the recorded tokens.

    Args:
        logits: after the prompt and each recorded token but the last, (S, V).
        blocks: fingerprints, comparable with the recorded ones.
    """

    logits: FloatArray
    blocks: tuple[Block, ...]

    def moved(self, recorded: GenerationRecord) -> list[float]:
        """Return how far the log-probability of each recorded token is from what was recorded."""
        table = log_softmax(self.logits)
        return [
            abs(step.log_probability - float(table[position, step.id])) if step.id < table.shape[1] else math.inf
            for position, step in enumerate(recorded.steps)
        ]


def teacher_forced(
    passes: Passes, recorded: Sequence[GenerationRecord], loaded: LoadedModel | None = None
) -> list[TeacherForcedPass]:
    """Run the model over the recorded tokens of a batch, without a cache; the blocks are those of the whole batch."""
    ids, mask, decoder = inputs([row.prompt.ids for row in recorded], recorded[0].start, [row.ids for row in recorded])
    seen = passes.forward(ids, loaded, mask, decoder)
    blocks, found = blocks_of(seen, mask), []
    for row, logits in zip(recorded, seen.logits, strict=True):
        start = len(row.prefix) - 1
        found.append(TeacherForcedPass(logits[start : start + len(row.ids)], blocks))
    return found


def inputs(
    prompts: Sequence[tuple[int, ...]], start: tuple[int, ...], outputs: Sequence[tuple[int, ...]]
) -> tuple[IntArray, IntArray | None, IntArray | None]:
    """Return the ids, the mask and the decoder's ids of one forward pass over prompts and what was generated.

    `start` is what an encoder-decoder's decoder starts with, and empty for a decoder.
    """
    if start:
        return *padded(prompts), padded([(*start, *output) for output in outputs])[0]
    return *padded([(*prompt, *output) for prompt, output in zip(prompts, outputs, strict=True)]), None


def blocks_of(seen: ForwardPass, mask: IntArray | None) -> tuple[Block, ...]:
    """Return the fingerprints of a forward pass."""
    return fingerprint(seen.hidden_states, None if seen.encoder else mask, seen.encoder)


def padded(rows: Sequence[Sequence[int]], pad: int = 0, *, left: bool = False) -> tuple[IntArray, IntArray | None]:
    """Return rows of ids as one batch (B, L), padded on the right, or on the left for `generate`, and its mask.

    The mask is None if all have one length.
    """
    import numpy as np

    length = max(map(len, rows))
    if all(len(row) == length for row in rows):
        return np.asarray(rows, dtype=np.int64), None
    ids, mask = np.full((len(rows), length), pad, np.int64), np.zeros((len(rows), length), np.int64)
    for number, row in enumerate(rows):
        own = slice(length - len(row), None) if left else slice(0, len(row))
        ids[number, own], mask[number, own] = row, 1
    return ids, mask


def scores_moved(recorded: GenerationRecord, observed: GenerationRecord, count: int) -> list[float]:
    """Return how far the recorded tokens' processed scores moved in `generate`, for the first `count` steps.

    Both sides must have the same tokens before each of these steps.
    """
    live: Any = observed.live
    table, found = log_softmax(live.scores[:count]), []
    for position, step in enumerate(recorded.steps[:count]):
        if max(step.id, step.runner_up) >= table.shape[1]:
            found.append(math.inf)
            continue
        margin = float(live.scores[position, step.id] - live.scores[position, step.runner_up])
        found.append(max(abs_diff(step.processed, float(table[position, step.id])), abs_diff(step.margin, margin)))
    return found
