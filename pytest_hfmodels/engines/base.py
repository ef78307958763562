"""The interface between what runs a model and everything that looks at it: NumPy arrays in and out.

Shapes: B rows of a batch, L tokens, V vocabulary entries, N returned sequences, S generated steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypeVar, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    IntArray: TypeAlias = NDArray[np.int64]
    FloatArray: TypeAlias = NDArray[np.float64]

EngineName = Literal["torch", "tensorflow"]
Task = Literal["text-generation", "text-classification"]
TransfoXLChoice = Literal["auto", "transformers", "pytest-hfmodels"]

Method = TypeVar("Method", bound="Callable[..., Any]")

ENGINE_NAMES: tuple[EngineName, ...] = get_args(EngineName)


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
        transfo_xl: whose Transformer-XL to run, for a checkpoint of that architecture.
    """

    dtype: str | None = "float32"
    attention: str | None = "eager"
    head: Literal["trained", "fixed"] = "trained"
    unused: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    transfo_xl: TransfoXLChoice = "auto"


@dataclass(frozen=True)
class Generation:
    """What one `generate` call returned.

    Args:
        sequences: prompt and continuation, padded at the end, (N, L).
        scores: processed scores of every step before beam scores are added, (S, B * beams, V).
        beam_indices: the row of `scores` that each returned token was chosen from, -1 past the end, (N, S);
            None for greedy.
        sequence_scores: the returned beams' scores, (N,); None for greedy.
        effective: the settings as the library resolved them, by the library's names.
        plain_scores: whether `scores` equal those of one forward pass, see `Resolved`; False if unknown.
        processors: the logits processors that were on, see `settings.active_processors`; None if unknown.
    """

    sequences: IntArray
    scores: FloatArray
    beam_indices: IntArray | None
    sequence_scores: FloatArray | None
    effective: Mapping[str, Any]
    plain_scores: bool = False
    processors: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass: `logits` (B, L, V) and `hidden_states`, the embeddings' and each block's output, (B, L, C)."""

    logits: FloatArray
    hidden_states: tuple[FloatArray, ...]


@dataclass(frozen=True)
class Classification:
    """One classifier call: `logits` (B, labels), mean `loss` where labels were given, `hidden_states` as above."""

    logits: FloatArray
    loss: float | None
    hidden_states: tuple[FloatArray, ...]


# Hold it while you change state that all threads share: warning filters (`warnings.catch_warnings` is not
# thread-safe), log levels, random states. Always take it before a model's lock, so that no two threads deadlock.
PROCESS_LOCK = RLock()


def one_at_a_time(method: Method) -> Method:
    """Hold the model's lock during a method of `LoadedModel`, so that one thread runs it at a time."""

    @wraps(method)
    def locked(self: LoadedModel, *arguments: Any, **keywords: Any) -> Any:
        with self.lock:
            return method(self, *arguments, **keywords)

    return cast("Method", locked)


def one_in_process(method: Method) -> Method:
    """Hold the process's lock, then the model's: for a method of `LoadedModel` that changes the warning filters."""

    @wraps(method)
    def locked(self: LoadedModel, *arguments: Any, **keywords: Any) -> Any:
        with PROCESS_LOCK, self.lock:
            return method(self, *arguments, **keywords)

    return cast("Method", locked)


class LoadedModel(ABC):
    """One model in memory and the engine that runs it.

    Hold `lock` while you run the model or patch it for a call; otherwise the settings of two threads would mix.

    Args:
        model: upstream's own object.
    """

    engine: EngineName
    tensors: Literal["pt", "tf"]

    def __init__(self, model: Any) -> None:
        self.model = model
        self.lock = RLock()

    @abstractmethod
    def generate(self, ids: IntArray, mask: IntArray | None, settings: Mapping[str, Any]) -> Generation:
        """Run the library's `generate` once, without sampling, on `ids` (B, L) int64 and `mask` (B, L) of 0 and 1."""

    @abstractmethod
    def forward(self, ids: IntArray, mask: IntArray | None = None) -> ForwardPass:
        """Run the model once over `ids` (B, L) int64."""

    @abstractmethod
    def classify(
        self, ids: IntArray, mask: IntArray | None, labels: IntArray | FloatArray | None, problem_type: str | None
    ) -> Classification:
        """Run a classifier once over `ids` (B, L) int64; `labels` are (B,) int64, or (B, num_labels) float."""

    @abstractmethod
    def tensor(self, values: Any) -> Any:
        """Return `values` (nested lists or an array) as a tensor of this engine."""

    @abstractmethod
    def weights(self) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
        """Yield every parameter as (name, dtype, shape, bytes), sorted by name and copied one at a time."""

    def unsaved_buffers(self) -> Iterator[tuple[str, str, tuple[int, ...], memoryview]]:
        """Yield the buffers that the model uses but never saves (masks, rotary frequencies), as `weights` does."""
        return iter(())

    @abstractmethod
    def modes(self) -> Mapping[str, object]:
        """Return what a test may leave changed beside values: training flags, tensor identities and versions."""

    @abstractmethod
    def environment(self) -> Mapping[str, str]:
        """Return what numbers depend on beside the versions: dtype, attention, device, CPU capability."""

    @property
    def implementation(self) -> str:
        """Whose code the model is: `transformers`, `pytest-hfmodels`, or the package of an adopted model's class."""
        return str(type(self.model).__module__).split(".")[0].replace("_", "-")


class Engine(Protocol):
    """Loads checkpoints, and takes in models that were loaded another way."""

    name: EngineName

    def load(self, folder: Path, task: Task, options: LoadOptions) -> LoadedModel:
        """Load the safetensors checkpoint in `folder` for `task`.

        Raises:
            CheckpointError: weights are missing or do not fit the configuration.
            EngineError: this engine has no such architecture.
        """
        ...

    def adopt(self, model: Any) -> LoadedModel:
        """Take in a model that the user loaded."""
        ...
