"""Figures that explain a difference later: log-probabilities, block fingerprints, beam frontiers.

NumPy is imported inside functions: records are also read from files, where nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import FloatArray, IntArray


_DIRECTIONS = 4  # a single direction could be orthogonal to a fault
NORMALIZED = _DIRECTIONS + 1
# How `LiveModel.altered` words a change that only a digest of the tensors shows.
IN_PLACE = "weights or buffers were written in place"
NOT_COMPARABLE = 'No snapshot can compare that: check the weights, or load the model with dtype="float32".'


@dataclass(frozen=True)
class Block:
    """The fingerprint of one block's output over all tokens: numbers that any real change moves.

    Args:
        name: `embeddings`, `block 1` …, in the order of the forward pass; the last one is taken behind the final norm,
            where the model has one: that is what upstream returns.
        mean: mean over tokens and channels.
        rms: root mean square over tokens and channels.
        probe: mean over tokens of the projection on a fixed direction, which a permutation of channels moves too.
        normalized: mean projections of normalised tokens on four fixed directions, and the mean logarithm of their
            sizes. Unlike the three numbers above, these are not dominated by a few massive activations. Empty in
            files of earlier versions.
    """

    name: str
    mean: float
    rms: float
    probe: float
    normalized: tuple[float, ...] = ()


class LiveModel(Protocol):
    """A model in memory that can be asked again, and be loaded once more in another way."""

    loaded: LoadedModel
    tokenizer: Any

    def again(self, **changes: Any) -> LoadedModel | None:
        """Load its checkpoint, optionally with another `dtype`, `attention` or more `overrides` of its configuration.

        `fields` replace the overrides of the test.
        Returns None if it has no checkpoint or is too large.
        """
        ...

    def fresh_tokenizer(self) -> Any | None:
        """Load the tokenizer again from its files; None if it has none."""
        ...

    def altered(self, *, weights: bool = True, vocabulary: bool = False) -> list[str]:
        """Return what has changed in the model and its tokenizer since loading; weights and vocabulary if wanted."""
        ...

    def weights_written(self) -> bool:
        """Return whether the weights have changed since loading, also if something else has; False if unknown."""
        ...

    def distrust(self) -> None:
        """Let no later test use this model in memory."""
        ...


class ModelRef:
    """What made a record, for as long as it is in memory: a record keeps no model alive.

    Args:
        origin: the model.
        settings: what the test asked for, by the library's names.
    """

    def __init__(self, origin: LiveModel, settings: Mapping[str, Any]) -> None:
        self._origin: Callable[[], LiveModel | None] = ref(origin)
        self.settings = dict(settings)

    @property
    def origin(self) -> LiveModel | None:
        """The model, or None where it has been let go."""
        return self._origin()

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (_forgotten, (self.settings,))  # a copy in another process has no model


def _forgotten(settings: Mapping[str, Any]) -> ModelRef:
    found = ModelRef.__new__(ModelRef)
    found._origin, found.settings = _nothing, dict(settings)
    return found


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class LiveLogits:
    """What is kept in memory only, to look recorded tokens up in what the model says now.

    Args:
        logits: of the whole vocabulary at every generated position of the first sequence, without a cache, (S, V).
        scores: processed scores there, from the search itself, (S, V); banned tokens are -inf.
        made_by: the model, and what the test gave it; None for records that no model made.
        plain_scores: whether one forward pass should give the same scores; False if unknown.
        processors: the logits processors that were on, with their settings; None if unknown. A snapshot keeps only
            the test's own.
    """

    logits: FloatArray
    scores: FloatArray
    made_by: ModelRef | None = None
    plain_scores: bool = False
    processors: Mapping[str, Any] | None = None

    @cached_property
    def log_probabilities(self) -> FloatArray:
        """Of the logits, (S, V)."""
        return log_softmax(self.logits)


@dataclass(frozen=True)
class LiveBatch:
    """The same for a classifier: what it was asked, to ask it again.

    Args:
        ids: the padded batch, (B, L).
        mask: 0 at padding; None where nothing was padded.
        labels: as the engine took them, or None.
        made_by: the model, and what the test gave it.
    """

    ids: IntArray
    mask: IntArray | None
    labels: IntArray | FloatArray | None
    made_by: ModelRef


def log_softmax(values: FloatArray) -> FloatArray:
    """Return log-probabilities over the last axis of logits; entries of -inf stay so, and a row of them gives NaN."""
    import numpy as np

    with np.errstate(invalid="ignore"):  # such a row has no distribution; see `broken_numbers` for other NaN
        shifted = values - values.max(axis=-1, keepdims=True)
        result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def broken_numbers(values: FloatArray) -> str | None:
    """Return what a snapshot cannot compare in logits or scores (…, V): NaN or +inf; None if there is neither.

    -inf is the score of a suppressed token.
    """
    import numpy as np

    if np.isnan(values).any():
        return "NaN"
    return "infinity" if np.isposinf(values).any() else None


def fingerprint(hidden_states: Sequence[FloatArray], mask: IntArray | None = None) -> tuple[Block, ...]:
    """Reduce the hidden states of one forward pass to one `Block` each.

    Args:
        hidden_states: the embeddings' and each block's output, (B, L, C).
        mask: (B, L), 0 at padding, which `normalized` skips; None if there is no padding.
    """
    import numpy as np

    blocks = []
    with np.errstate(invalid="ignore"):  # a token at padding may overflow; these numbers are evidence only
        for number, state in enumerate(hidden_states):
            direction = np.cos(np.arange(1, state.shape[-1] + 1))
            blocks.append(
                Block(
                    name="embeddings" if number == 0 else f"block {number}",
                    mean=float(state.mean()),
                    rms=float(np.sqrt(np.mean(state**2))),
                    probe=float((state @ direction).mean()),
                    normalized=_normalized(state if mask is None else state[mask.astype(bool)]),
                )
            )
    return tuple(blocks)


def _normalized(states: FloatArray) -> tuple[float, ...]:
    """Return the mean projections of tokens (…, C) after x / (|x| + median |x|), and the mean of log median |x|.

    The median is over the channels of one token. Unlike a root mean square, it ignores a few massive channels.
    """
    import numpy as np

    tokens = states.reshape(-1, states.shape[-1])
    sizes = np.abs(tokens)
    typical = np.maximum(np.median(sizes, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    scaled = tokens / (sizes + typical)
    channels, numbers = np.arange(1, tokens.shape[-1] + 1), np.arange(1, _DIRECTIONS + 1)
    directions = np.cos(np.outer(channels, numbers)) * np.sqrt(2 / tokens.shape[-1])
    projected = (scaled @ directions).mean(axis=0)
    return tuple(float(value) for value in (*projected, np.log(typical).mean()))


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
