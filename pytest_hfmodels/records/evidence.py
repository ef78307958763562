"""Figures that explain a difference later: log-probabilities, block fingerprints, beam frontiers.

NumPy is imported inside functions: records are also read from files, where nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines.base import FloatArray


@dataclass(frozen=True)
class Block:
    """The fingerprint of one block's output over all tokens: three numbers that any real change moves.

    Args:
        name: `embeddings`, `block 1` …, in the order of the forward pass; the last one includes the final norm.
        mean: mean over tokens and channels.
        rms: root mean square over tokens and channels.
        probe: mean over tokens of the projection on a fixed direction, which a permutation of channels moves too.
    """

    name: str
    mean: float
    rms: float
    probe: float


@dataclass(frozen=True)
class Live:
    """What is kept in memory only, to look recorded tokens up in what the model says now.

    Args:
        log_probabilities: of the whole vocabulary at every generated position of the first sequence, (S, V).
        scores: processed scores there, (S, V); banned tokens are -inf.
    """

    log_probabilities: FloatArray
    scores: FloatArray


def log_softmax(values: FloatArray) -> FloatArray:
    """Return log-probabilities over the last axis of logits; entries of -inf stay so."""
    import numpy as np

    shifted = values - values.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def fingerprint(hidden_states: Sequence[FloatArray]) -> tuple[Block, ...]:
    """Reduce the hidden states of one forward pass, each (B, L, C), to one `Block` each."""
    import numpy as np

    blocks = []
    for number, state in enumerate(hidden_states):
        direction = np.cos(np.arange(1, state.shape[-1] + 1))
        blocks.append(
            Block(
                name="embeddings" if number == 0 else f"block {number}",
                mean=float(state.mean()),
                rms=float(np.sqrt(np.mean(state**2))),
                probe=float((state @ direction).mean()),
            )
        )
    return tuple(blocks)


def frontier_gaps(scores: FloatArray, num_beams: int, eos_token_ids: Sequence[int]) -> tuple[float, ...]:
    """Return, for every step of a beam search, how narrowly the last kept candidate beat the first dropped one.

    Follows the running hypotheses from the processed scores alone: at each step the `num_beams` best continuations
    that do not end in eos run on (Sutskever et al. 2014, §3.2, with finished hypotheses set aside).

    Args:
        scores: processed log-probabilities of every step, (S, num_beams, V), rows in order of rank.
        num_beams: hypotheses kept.
        eos_token_ids: ids that finish a hypothesis.

    Returns:
        Differences of cumulative log-probability, one a step, `inf` where nothing was dropped.
    """
    import numpy as np

    running = np.full(num_beams, -np.inf)
    running[0] = 0.0  # all beams start equal: only the first counts
    gaps = []
    for step in scores:
        candidates = running[:, None] + step
        candidates[:, list(eos_token_ids)] = -np.inf
        flat = candidates.reshape(-1)
        best = np.sort(flat[np.argpartition(flat, -(num_beams + 1))[-(num_beams + 1) :]])[::-1]
        gaps.append(float(best[num_beams - 1] - best[num_beams]) if np.isfinite(best[num_beams]) else float("inf"))
        running = best[:num_beams]
    return tuple(gaps)
