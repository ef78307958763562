"""The arguments and results of engines: NumPy arrays in and out. Imports nothing heavy.

Shapes: B rows of a batch, L tokens, V vocabulary entries, N returned sequences, S generated steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    IntArray: TypeAlias = NDArray[np.int64]
    FloatArray: TypeAlias = NDArray[np.float64]
    AnyFloats: TypeAlias = NDArray[np.floating[Any]]  # in the precision in which they were computed
    Steps: TypeAlias = Sequence[AnyFloats] | AnyFloats  # an array for each step of a `generate`


EngineName: TypeAlias = str
Task: TypeAlias = str  # by the Hub's name, see `tasks.TASKS`

# Hold it while a model runs and while you change state that all threads share: warning filters
# (`warnings.catch_warnings` is not thread-safe), log levels, random states, what is patched for a call.
PROCESS_LOCK = RLock()


@dataclass(frozen=True)
class LoadOptions:
    """How to load a checkpoint.

    Args:
        dtype: the dtype to pin, or None for what the installed release chooses by itself.
        attention: the attention implementation to pin, or None likewise.
        head: "trained" insists that every tensor comes from the checkpoint; "fixed" fills a missing or
            differently sized classification head with fixed numbers (its values mean nothing, its shape does).
        unused: names of weights in the files that the model may leave out; `*` matches any text.
        overrides: configuration fields set at load, such as `num_labels` or `pad_token_id`.
        implementation: whose code runs an architecture that is registered; `auto` leaves it to the architecture.
        adapter: the folder of an adapter to apply to the loaded model.
        device: where the model runs, as the engine names it; None for where the engine loads it.
    """

    dtype: str | None = "float32"
    attention: str | None = "eager"
    head: Literal["trained", "fixed"] = "trained"
    unused: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    implementation: str = "auto"
    adapter: Path | None = None
    device: str | None = None


@dataclass(frozen=True)
class Generation:
    """What one `generate` call returned.

    Args:
        sequences: prompt and continuation, padded at the end, (N, L).
        steps: processed scores of every step before beam scores are added, (B * beams, V) each, as computed. Upstream's
            own memory: a copy would double it.
        beam_indices: the row of `steps` that each returned token was chosen from, -1 past the end, (N, S);
            None for greedy.
        sequence_scores: the returned beams' scores, (N,); None for greedy.
        effective: the settings as the library resolved them, by the library's names.
        plain_scores: whether `steps` equal those of one forward pass, see `Resolved`; False if unknown.
        logits: the scores of every step before the logits processors, as `steps`: logits, or log-probabilities of a
            beam search. None if unknown (also of one prompt with processors), or if they are not those of one forward
            pass.
        processors: the logits processors that were on, see `capture.active_processors`; None if unknown.
        prefix: how many ids of a sequence come before the first generated one.
        windows: of a sound that was read in several windows, what the encoder got, (N, …); a sequence is then one
            window's. None for others.
    """

    sequences: IntArray
    steps: Sequence[AnyFloats]
    beam_indices: IntArray | None
    sequence_scores: FloatArray | None
    effective: Mapping[str, Any]
    plain_scores: bool = False
    logits: Sequence[AnyFloats] | None = None
    processors: Mapping[str, Any] | None = None
    prefix: int = 1
    windows: FloatArray | None = None

    @cached_property
    def scores(self) -> FloatArray:
        """`steps` as one array of float64, (S, B * beams, V)."""
        import numpy as np

        found: FloatArray = np.array(self.steps, np.float64)
        return found


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass: `logits` (B, L, V) and `hidden_states`, the embeddings' and each block's output, (B, L, C).

    Logits are float64, or as computed. The first `encoder` of the hidden states are those of an encoder.
    """

    logits: AnyFloats
    hidden_states: tuple[FloatArray, ...]
    encoder: int = 0


@dataclass(frozen=True)
class Classification:
    """One classifier call: `logits` (B, labels), mean `loss` where labels were given, `hidden_states` as above."""

    logits: FloatArray
    loss: float | None
    hidden_states: tuple[FloatArray, ...]


@dataclass(frozen=True)
class Observation:
    """Every named output of one forward pass.

    Args:
        outputs: float64 or int64 arrays by their dotted path in upstream's output object, such as `logits` or
            `text_model_output.pooler_output`; `output` where that object is itself a tensor. Caches and hidden states
            are left out.
        types: what is at each path: `tensor`, or the name of the class that holds others.
        hidden_states: the embeddings' and each block's output, (B, L, C) or as the model has them; of an
            encoder-decoder the encoder's first.
        encoder: how many of the hidden states, from the first, are the encoder's; 0 without a decoder.
    """

    outputs: Mapping[str, FloatArray | IntArray]
    types: Mapping[str, str]
    hidden_states: tuple[FloatArray, ...]
    encoder: int = 0
