"""One model in the cache, with what it looked like when it was last known to be clean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.models.watch import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel, Task

_LARGE = 500_000_000  # bytes of weights: a model above is not loaded a second time to explain a difference
_SMALL = 50_000_000  # one below is kept: tests that fail together mostly share a cause


@dataclass(eq=False)  # one is known by itself: what it made refers to it weakly
class Entry:
    """One model in memory.

    Args:
        checkpoint: what it was loaded from, or describes it.
        task: what for.
        loaded: the engine's side.
        tokenizer: upstream's.
        before: what it looked like when it was last known to be clean.
        adopted: whether somebody else has loaded it.
        touched: whether a test has asked for it since.
        load: loads the checkpoint again, with other options; None where it was adopted.
    """

    checkpoint: Checkpoint
    task: Task
    loaded: LoadedModel
    tokenizer: Any
    before: Fingerprint
    adopted: bool = False
    touched: bool = False
    load: Callable[..., LoadedModel] | None = None
    _others: dict[str, LoadedModel] = field(default_factory=dict, repr=False)

    def describe(self) -> str:
        """Name the model the way messages do."""
        return f"{self.checkpoint.name} ({self.task}, {self.loaded.engine})"

    def again(self, **changes: Any) -> LoadedModel | None:
        """Load the checkpoint again, perhaps with another `dtype` or `attention`, or more `overrides`.

        Returns:
            The model, or None where it was adopted or is too large to be in memory twice.
        """
        key = repr(sorted(changes.items()))
        if key in self._others:
            return self._others[key]
        size = sum(raw.nbytes for _, _, _, raw in self.loaded.weights())
        if self.load is None or size > _LARGE:
            return None
        other = self.load(**changes)
        if size <= _SMALL:
            self._others[key] = other
        return other

    def altered(self, *, weights: bool = True) -> list[str]:
        """Say what of the model and its tokenizer has changed since it was loaded.

        Args:
            weights: read every weight, where that was done at first.
        """
        thorough = weights and self.before.weights is not None
        return self.before.changes(Fingerprint.of(self.loaded, self.tokenizer, with_weights=thorough))

    @property
    def always_digested(self) -> bool:
        """Bundled models are small enough to have every weight read after every test that asked for them."""
        return self.checkpoint.origin == "bundled"
