"""One model in the cache, with what it looked like when it was last known to be clean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.evidence import IN_PLACE
from pytest_hfmodels.models.fingerprint import Fingerprint, digest_of

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
        original: its state when it was loaded or adopted.
        adopted: whether the user loaded it.
        requested: whether the running test has requested it.
        load: loads the checkpoint again, with other options, or returns None if its files were rewritten; None if it
            was adopted.
        load_tokenizer: the same for the tokenizer, without options.
        distrusted: whether an explanation found a change that is not looked for after each test.
    """

    checkpoint: Checkpoint
    task: Task
    loaded: LoadedModel
    tokenizer: Any
    original: Fingerprint
    adopted: bool = False
    requested: bool = False
    load: Callable[..., LoadedModel | None] | None = None
    load_tokenizer: Callable[[], Any | None] | None = None
    distrusted: bool = False
    seen: int = 0  # the number of tests at its last inspection
    last_test: str = ""  # the test before its last inspection
    _before: Fingerprint = field(init=False)
    _parts: frozenset[int] = field(init=False)
    _changed_by: dict[str, str] = field(default_factory=dict)
    _others: dict[str, LoadedModel] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Remember its state, and the ids of its parts."""
        self._before = self.original
        model = self.loaded.model
        own = (model, self.loaded, self.tokenizer, getattr(model, "config", None))
        modules = model.modules() if hasattr(model, "modules") else ()
        self._parts = frozenset(map(id, (*own, getattr(model, "generation_config", None), *modules)))

    def describe(self) -> str:
        """Name the model the way messages do."""
        return f"{self.checkpoint.name} ({self.task}, {self.loaded.engine})"

    def again(self, **changes: Any) -> LoadedModel | None:
        """Load the checkpoint again, optionally with another `dtype`, `attention` or more `overrides`.

        `fields` replace the overrides of the test.

        Returns:
            The model, or None if it was adopted, is too large to be in memory twice, or its files were rewritten.
        """
        key = repr(sorted(changes.items()))
        if key in self._others:
            return self._others[key]
        size = sum(raw.nbytes for _, _, _, raw in self.loaded.weights())
        if self.load is None or size > _LARGE:
            return None
        other = self.load(**changes)
        if other is not None and size <= _SMALL:
            self._others[key] = other
        return other

    def fresh_tokenizer(self) -> Any | None:
        """Load the tokenizer again from its files; None if it was adopted or its files were rewritten."""
        return None if self.load_tokenizer is None else self.load_tokenizer()

    def release_others(self) -> None:
        """Release the models that were loaded to explain a difference."""
        self._others.clear()

    def has_part_in(self, reach: set[int]) -> bool:
        """Return whether the ids contain the model, a part of it, its configuration or its tokenizer."""
        return not self._parts.isdisjoint(reach)

    def new_changes(self, test: str, *, weights: bool) -> list[str]:
        """Return what has changed since the last call, and remember the test that did it.

        Args:
            test: the test that has just run.
            weights: also read the tokenizer's vocabulary, and every weight if `original` includes them.
        """
        thorough = (
            weights or self.distrusted or (self.requested and self.checkpoint.origin == "bundled")
        )  # those are small
        vocabulary = weights or self.distrusted
        now = self._look(weights=thorough and self._before.weights is not None, vocabulary=vocabulary)
        changes = self._before.changes(now)
        if changes:
            self._before = now
            self._changed_by |= dict.fromkeys(self.original.changes(now), test)
        return changes

    def altered(self, *, weights: bool = True, vocabulary: bool = False) -> list[str]:
        """Return what has changed in the model and tokenizer since loading, and which earlier test changed it.

        Args:
            weights: also read every weight, if `original` includes them.
            vocabulary: also read the tokenizer's vocabulary.
        """
        now = self._look(weights=weights and self.original.weights is not None, vocabulary=vocabulary)
        changes = self.original.changes(now)
        after_each_test = self.original.changes(replace(now, weights=None, vocabulary=None, buffers=None))
        if changes != after_each_test:
            self.distrust()
        return [f"{change}{self._attribution(change, change in after_each_test)}" for change in changes]

    def weights_written(self) -> bool:
        """Return whether the weights have changed since loading, also if something else has; False if unknown."""
        if self.original.weights is None:
            return False
        found = digest_of(self.loaded.weights()) != self.original.weights
        if found:
            self.distrust()
        return found

    def distrust(self) -> None:
        """Have the cache evict this model after the test."""
        self.distrusted = True

    def _attribution(self, change: str, seen: bool) -> str:
        """Return which test made a change, in words; empty for this one.

        Args:
            change: in words.
            seen: whether the cache would have seen it after an earlier test.
        """
        if change in self._changed_by:
            return f" (changed by {self._changed_by[change] or 'an earlier test'})"
        if seen or (change == IN_PLACE and self.checkpoint.origin == "bundled"):  # those are read after each test
            return ""
        return " (changed by this test or an earlier one)"

    def _look(self, *, weights: bool, vocabulary: bool) -> Fingerprint:
        return Fingerprint.of(self.loaded, self.tokenizer, with_weights=weights, with_vocabulary=vocabulary)
