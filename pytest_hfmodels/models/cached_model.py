"""One model in the cache, with what it looked like when it was last known to be clean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.evidence import IN_PLACE
from pytest_hfmodels.models.fingerprint import Fingerprint, checksum, tokenizer_of
from pytest_hfmodels.models.memory import has_room_again

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels.checkpoints import Checkpoint
    from pytest_hfmodels.engines import LoadedModel, Task
    from pytest_hfmodels.kinds.embedding.pooling import Recipe

# Bytes of weights: a smaller model that was loaded to explain a difference is kept, because tests that fail together
# mostly share a cause.
_SMALL = 50_000_000


@dataclass(eq=False)  # known by identity: records refer to it weakly
class CachedModel:
    """One model in memory.

    Args:
        checkpoint: what it was loaded from, or describes it.
        task: what for.
        loaded: the engine's side.
        processor: upstream's: a tokenizer, an image processor, a feature extractor or a joint one; None without any.
        original: its state when it was loaded or adopted.
        load: loads the checkpoint again, with other options, or returns None if its files were rewritten; None if the
            user loaded the model.
        load_processor: the same for the processor, without options.
        recipe: what an adopted SentenceTransformer does with the model's output; None for others.
        requested: whether the running test has requested it.
        handed_out: whether upstream's own objects were handed out since the last test or its fixtures ended.
        held: whether a fixture may hold them, so that any test may change them without a request.
        distrusted: whether an explanation found a change that is not looked for after each test.
        last_test: the test before its last inspection.
    """

    checkpoint: Checkpoint
    task: Task
    loaded: LoadedModel
    processor: Any | None
    original: Fingerprint
    load: Callable[..., LoadedModel | None] | None = None
    load_processor: Callable[[], Any | None] | None = None
    recipe: Recipe | None = None
    requested: bool = True
    handed_out: bool = False
    held: bool = False
    distrusted: bool = False
    last_test: str = ""
    _before: Fingerprint = field(init=False)
    _changed_by: dict[str, str] = field(default_factory=dict)
    _others: dict[str, LoadedModel] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Remember its state."""
        self._before = self.original

    @property
    def tokenizer(self) -> Any | None:
        """Upstream's tokenizer, alone or in the processor; None without one."""
        return tokenizer_of(self.processor)

    @property
    def adopted(self) -> bool:
        """Whether the user loaded it, so that it cannot be loaded again."""
        return self.load is None

    def describe(self) -> str:
        """Name the model the way messages do."""
        return f"{self.checkpoint.name} ({self.task}, {self.loaded.engine})"

    def again(self, **changes: Any) -> LoadedModel | None:
        """See `LiveModel.again`."""
        key = repr(sorted(changes.items()))
        if key in self._others:
            return self._others[key]
        size = sum(raw.nbytes for _, _, _, raw in self.loaded.weights())
        now = self.loaded.environment()["dtype"]
        if self.load is None or not has_room_again(size, now, changes.get("dtype") or now):
            return None
        other = self.load(**changes)
        if other is not None and size <= _SMALL:
            self._others[key] = other
        return other

    def fresh_tokenizer(self) -> Any | None:
        """See `LiveModel.fresh_tokenizer`."""
        return tokenizer_of(self.fresh_processor())

    def fresh_processor(self) -> Any | None:
        """See `LiveModel.fresh_processor`."""
        return None if self.load_processor is None else self.load_processor()

    def release_others(self) -> None:
        """Release the models that were loaded to explain a difference."""
        self._others.clear()

    def new_changes(self, test: str, *, weights: bool) -> list[str]:
        """Return what has changed since the last call, and remember the test that did it."""
        small = self.requested and self.checkpoint.origin == "bundled"
        now = self._look(weights=weights or self.distrusted or small, vocabulary=weights or self.distrusted)
        changes = self._before.changes(now)
        if changes:
            self._before = now
            self._changed_by |= dict.fromkeys(self.original.changes(now), test)
        return changes

    def altered(self, *, weights: bool = True, vocabulary: bool = False) -> list[str]:
        """See `LiveModel.altered`; each change names the earlier test that made it."""
        now = self._look(weights=weights, vocabulary=vocabulary)
        changes = self.original.changes(now)
        after_each_test = self.original.changes(replace(now, weights=None, vocabulary=None, buffers=None))
        if changes != after_each_test:
            self.distrust()
        return [f"{change}{self._attribution(change, change in after_each_test)}" for change in changes]

    def weights_written(self) -> bool:
        """See `LiveModel.weights_written`."""
        written = self.original.weights not in (None, checksum(self.loaded.weights()))
        if written:
            self.distrust()
        return written

    def distrust(self) -> None:
        """Have the cache evict this model after the test."""
        self.distrusted = True

    def _attribution(self, change: str, seen: bool) -> str:
        """Return which test made a change, in words; empty for this one. `seen`: it shows after each test."""
        if change in self._changed_by:
            return f" (changed by {self._changed_by[change] or 'an earlier test'})"
        if seen or (change == IN_PLACE and self.checkpoint.origin == "bundled"):  # those are read after each test
            return ""
        return " (changed by this test or an earlier one)"

    def _look(self, *, weights: bool, vocabulary: bool) -> Fingerprint:
        weights = weights and self.original.weights is not None
        return Fingerprint.of(self.loaded, self.processor, with_weights=weights, with_vocabulary=vocabulary)
