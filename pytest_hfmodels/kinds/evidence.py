"""Figures that explain a difference later, and the model in memory that can be asked again.

NumPy is imported inside functions: records are also read from files, where nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from pytest_hfmodels.foundation.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.engines.base import AnyFloats, FloatArray, IntArray, Steps


_DIRECTIONS = 4  # a single direction could be orthogonal to a fault
NORMALIZED = _DIRECTIONS + 1
# How `LiveModel.altered` words a change that only a digest of the tensors shows.
IN_PLACE = "weights or buffers were written in place"
NOT_COMPARABLE = 'No snapshot can compare that: check the weights, or load the model with dtype="float32".'


@dataclass(frozen=True)
class Block:
    """The fingerprint of one block's output over all tokens: numbers that any real change moves.

    Args:
        name: `embeddings`, `block 1` …, in the order of the forward pass; upstream takes the last one after the final
            norm, if the model has one.
        mean: mean over tokens and channels.
        rms: root mean square over tokens and channels.
        projection: mean over tokens of the projection on a fixed direction; a permutation of channels moves it.
        normalized: mean projections of normalised tokens on four fixed directions, and the mean logarithm of their
            sizes. A few massive activations do not dominate them. Empty in files of earlier versions.
    """

    name: str
    mean: float
    rms: float
    projection: float
    normalized: tuple[float, ...] = ()


class LiveModel(Protocol):
    """A model in memory that can be asked again, and be loaded once more in another way."""

    loaded: LoadedModel
    processor: Any | None

    @property
    def tokenizer(self) -> Any | None:
        """Upstream's tokenizer, alone or in the processor; None without one."""
        ...

    def again(self, **changes: Any) -> LoadedModel | None:
        """Load its checkpoint, optionally with another `dtype`, `attention` or more `overrides` of its configuration.

        `fields` replace the overrides of the test.
        Returns None if it has no checkpoint or is too large.
        """
        ...

    def fresh_tokenizer(self) -> Any | None:
        """Load the tokenizer again from its files; None if it has none."""
        ...

    def fresh_processor(self) -> Any | None:
        """Load the processor again from its files; None if it has none."""
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
    """The model that made a record, for as long as it is in memory: a record keeps no model alive.

    Args:
        origin: the model; None in a copy of a record in another process.
        settings: what the test asked for, by the library's names.
    """

    def __init__(self, origin: LiveModel | None, settings: Mapping[str, Any]) -> None:
        self._origin = None if origin is None else ref(origin)
        self.settings = dict(settings)

    @property
    def origin(self) -> LiveModel | None:
        """The model, or None if it is no longer in memory."""
        return None if self._origin is None else self._origin()

    def __reduce__(self) -> str | tuple[Any, ...]:
        return ModelRef, (None, self.settings)


@dataclass(frozen=True)
class LivePass:
    """What the record of one forward pass does not store: the model and its inputs, to run it again.

    Args:
        inputs: arrays by the name of the model's argument; the first axis is the batch, (B, …).
        made_by: the model, and what the test gave it.
        first: the row of the record that the first row of the batch is.
    """

    inputs: Mapping[str, Any]
    made_by: ModelRef
    first: int = 0

    @property
    def mask(self) -> IntArray | None:
        """0 at padding, (B, L); None without one."""
        return self.inputs.get("attention_mask")

    def alone(self, row: int) -> LivePass:
        """Return one row of the batch on its own, without its padding."""
        own = {name: value[row : row + 1] for name, value in self.inputs.items()}
        if self.mask is not None:
            kept = self.mask[row].astype(bool)
            padded = [
                name
                for name, value in self.inputs.items()
                if value.shape[:2] == self.mask.shape and "decoder" not in name
            ]
            own |= {name: own[name][:, kept] for name in padded}
        return replace(self, inputs=own, first=self.first + row)


def log_softmax(values: Steps) -> FloatArray:
    """Return log-probabilities over the last axis of logits; entries of -inf stay so, and a row of them gives NaN."""
    import numpy as np

    values = np.asarray(values, np.float64)
    if not values.size:
        return values if values.ndim > 1 else values.reshape(0, 0)
    with np.errstate(invalid="ignore"):  # such a row has no distribution; see `broken_numbers` for other NaN
        shifted = values - values.max(axis=-1, keepdims=True)
        result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def log_probabilities(values: Steps, ids: Sequence[int]) -> FloatArray:
    """Return the log-probability of one id a row of logits (S, V), as `log_softmax` has it but without the others."""
    import numpy as np

    result, shifted = np.empty(len(ids)), np.empty(len(values[0]) if len(values) else 0)
    with np.errstate(invalid="ignore"):
        for position, (row, chosen) in enumerate(zip(values, ids, strict=True)):  # one row stays in the CPU's cache
            np.subtract(row, row.max(), out=shifted, dtype=np.float64)
            own = shifted[chosen]
            result[position] = own - np.log(np.exp(shifted, out=shifted).sum())
    return result


def require_finite(numbers: FloatArray, name: str, engine: str) -> None:
    """Refuse what a model returned if a number is not finite.

    Raises:
        EngineError: naming the model and what it returned.
    """
    import numpy as np

    if not np.isfinite(numbers).all():
        what = "NaN" if np.isnan(numbers).any() else "infinity"
        raise EngineError(f"{name} on {engine} returned {what}.", hint=NOT_COMPARABLE)


def broken_numbers(values: AnyFloats) -> str | None:
    """Return what a snapshot cannot compare in logits or scores (…, V): NaN or +inf; None if there is neither.

    -inf is the score of a suppressed token.
    """
    import numpy as np

    largest = float(values.max()) if values.size else 0.0  # NaN if one of them is
    return "NaN" if np.isnan(largest) else "infinity" if np.isposinf(largest) else None


def fingerprint(
    hidden_states: Sequence[FloatArray], mask: IntArray | None = None, encoder: int = 0
) -> tuple[Block, ...]:
    """Reduce the hidden states of one forward pass to one `Block` each.

    Args:
        hidden_states: the embeddings' and each block's output, (B, L, C).
        mask: (B, L), 0 at padding, which `normalized` skips; None if there is no padding. A mask of another shape, such
            as one of audio samples, is ignored.
        encoder: how many of the first are those of an encoder, beside a decoder's.
    """
    import numpy as np

    blocks = []
    with np.errstate(invalid="ignore"):  # a token at padding may overflow; these numbers are evidence only
        for number, state in enumerate(hidden_states):
            direction = np.cos(np.arange(1, state.shape[-1] + 1))
            padded = mask is not None and mask.shape == state.shape[:2]
            blocks.append(
                Block(
                    name=_block_name(number, encoder),
                    mean=float(state.mean()),
                    rms=float(np.sqrt(np.mean(state**2))),
                    projection=float((state @ direction).mean()),
                    normalized=_normalized(state[mask.astype(bool)] if padded and mask is not None else state),
                )
            )
    return tuple(blocks)


def _block_name(number: int, encoder: int) -> str:
    """Return the name of a hidden state; an encoder's last one may be behind a norm, as nobody separates the two."""
    if not encoder:
        return "embeddings" if number == 0 else f"block {number}"
    side, own = ("encoder", number) if number < encoder else ("decoder", number - encoder)
    last = " or final norm" if number == encoder - 1 else ""
    return f"{side} embeddings" if own == 0 else f"{side} block {own}{last}"


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
