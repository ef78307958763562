"""One difference to explain: both records, and the model that made the observed one if it is still in memory.

The model may be asked for nine forward passes and one `generate` in all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from pytest_hfmodels.checkpoints import same_content
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.engines.capture import captured_scores
from pytest_hfmodels.foundation.shell import command
from pytest_hfmodels.kinds.base import R
from pytest_hfmodels.kinds.explanation import Evidence, Explanation
from pytest_hfmodels.kinds.tolerance import floor_of
from pytest_hfmodels.reference.rules import Rules, old_releases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_hfmodels.engines import Classification, ForwardPass, LoadedModel
    from pytest_hfmodels.engines.base import IntArray, Observation
    from pytest_hfmodels.engines.capture import StepScores
    from pytest_hfmodels.kinds.base import Record
    from pytest_hfmodels.kinds.comparison import Comparison
    from pytest_hfmodels.kinds.evidence import LiveModel
    from pytest_hfmodels.kinds.provenance import Provenance

FORWARD_PASSES = 9
GENERATES = 1
_OF_TEXTS = ("tokenizer", "chat-template")  # parts that no engine reads
_NAMED = 3  # changed packages or files, in a sentence
# The package whose releases are the likeliest reason goes first.
_ORDER = ("transformers", "tokenizers", "torch", "tensorflow")


class OutOfPassesError(Exception):
    """The model may not be asked any more."""


class Passes:
    """The model, and how often it may still be asked. Every method raises `OutOfPassesError` beyond that.

    Args:
        origin: the model that made the record.
        settings: what the test asked for.
    """

    def __init__(self, origin: LiveModel, settings: Mapping[str, Any]) -> None:
        self.origin = origin
        self.settings = settings
        self._left = {"forward": FORWARD_PASSES, "generate": GENERATES, "alone": GENERATES}

    def forward(
        self,
        ids: IntArray | None,
        loaded: LoadedModel | None = None,
        mask: IntArray | None = None,
        decoder: IntArray | None = None,
        inputs: Mapping[str, Any] | None = None,
        last: int | None = None,
    ) -> ForwardPass:
        """Run the model, or another load of it, over rows of one length; see `LoadedModel.forward`."""
        self.spend("forward")
        return (loaded or self.origin.loaded).forward(ids, mask, decoder, inputs, last)

    def classify(self, inputs: Mapping[str, Any], loaded: LoadedModel | None = None) -> Classification:
        """Run the classifier, or another load of it, over a batch, see `LoadedModel.classify_inputs`."""
        self.spend("forward")
        return (loaded or self.origin.loaded).classify_inputs(inputs, None, self.settings.get("problem_type"))

    def observe(self, inputs: Mapping[str, Any], loaded: LoadedModel | None = None) -> Observation:
        """Run the model, or another load of it, over named inputs."""
        self.spend("forward")
        return (loaded or self.origin.loaded).observe(inputs)

    def generate(self, prompt: Sequence[int], inputs: Mapping[str, Any] | None = None, **changes: Any) -> StepScores:
        """Generate once more, and return what every step chose from: ids so far -> scores of the next token."""
        self.spend("generate")
        ids = np.asarray([prompt], dtype=np.int64) if prompt else None
        with PROCESS_LOCK, captured_scores() as scores:
            self.origin.loaded.generate(ids, None, {**self.settings, **changes}, inputs)
        return scores

    def spend(self, what: str) -> None:
        """Count a use of the model: `forward`, `generate`, or a row of a batch `alone`."""
        if not self._left[what]:
            raise OutOfPassesError
        self._left[what] -= 1


@dataclass(frozen=True)
class Case(Generic[R]):
    """Two records that differ.

    Args:
        comparison: of the two.
        recorded: from the snapshot.
        observed: from the test.
        asked: the settings that the test gave; None if unknown.
        passes: the model; None if it is no longer in memory.
        noise: how far two right ways to the same numbers are apart in this run, as far as it is known.
    """

    comparison: Comparison
    recorded: R
    observed: R
    asked: Mapping[str, Any] | None = None
    passes: Passes | None = None
    noise: float = 0.0

    @classmethod
    def of(cls, comparison: Comparison, recorded: R, observed: R) -> Case[R]:
        """Return the case, with the model that made `observed`."""
        source = getattr(observed.live, "made_by", None)
        if source is None:
            return cls(comparison, recorded, observed)
        origin = source.origin
        return cls(comparison, recorded, observed, source.settings, origin and Passes(origin, source.settings))

    @property
    def origin(self) -> LiveModel | None:
        """The model; None if it is no longer in memory."""
        return None if self.passes is None else self.passes.origin

    @property
    def then(self) -> Provenance:
        """The environment that recorded."""
        return self.recorded.provenance

    @property
    def now(self) -> Provenance:
        """The environment of the test."""
        return self.observed.provenance

    @property
    def floor(self) -> float:
        """The noise floor."""
        return max(floor_of(self.recorded, self.observed), 2 * self.noise)

    @property
    def floor_then(self) -> float:
        """The noise floor of the recorded side: how far a load with its dtype may be from it."""
        return floor_of(self.recorded, self.recorded)

    @property
    def part(self) -> str | None:
        """The changed part of the checkpoint that numbers depend on, or None."""
        return next((part for part in ("weights", "config") if self.same(part) is False), None)

    def same(self, part: str) -> bool | None:
        """Return whether a part of the checkpoint has the recorded content; None if its digests cannot be compared."""
        return same_content(*(getattr(record.checkpoint, part) for record in (self.recorded, self.observed)))

    def because(self, cause: str | None, sentence: str, evidence: Iterable[Evidence] = (), **more: Any) -> Explanation:
        """Return an explanation; `more` are further fields of it."""
        return Explanation(self.comparison.verdict, cause, sentence, tuple(evidence), **more)

    def of_files(self, part: str, sentence: str, evidence: Iterable[Evidence] = ()) -> Explanation:
        """Return that changed files of the checkpoint are the cause, unless a package has changed version, too.

        Files may change without a consequence: a release that saves a checkpoint again names some fields anew.
        """
        if self.observed.checkpoint.origin == "adopted":  # it may have come from no files
            sentence = sentence.replace("the checkpoint's", "the adopted model's")
            sentence = sentence.replace(" files have changed", " has changed")
        packages = [name for name in self.changed_packages() if part not in _OF_TEXTS or name != self.now.engine]
        if not packages:
            return self.because(f"checkpoint:{part}", sentence, evidence)
        sentence = f"{sentence}; {listed(packages)} also changed version, so either may be the reason"
        return self.because(None, sentence, evidence)

    def changed_packages(self) -> dict[str, tuple[str, str]]:
        """Return the packages whose versions differ from the recorded ones, with both versions."""
        before, now = self.then.versions, self.now.versions
        names = [*_ORDER, *sorted({*before, *now} - {*_ORDER})]
        pairs = {name: (before[name], now[name]) for name in names if name in before and name in now}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def machine(self) -> Iterator[str]:
        """Yield changes of engine, device and CPU."""
        for what in ("engine", "device", "cpu"):
            then, now = getattr(self.then, what), getattr(self.now, what)
            if then != now:
                yield f"{what} {then} -> {now}"
        for package, (before, here) in self.changed_packages().items():
            if package == self.now.engine:
                yield f"{package} {before} -> {here}"

    def bisections(self, arguments: Sequence[str], first: str | None) -> Iterator[str]:
        """Yield the command that finds the release which changed the output, of `first` or the likeliest package."""
        changed = self.changed_packages()
        name = first if first in changed else next(iter(changed), None)
        if name is not None:
            good, bad = changed[name]
            yield command("hfmodels", "bisect", name, "--good", good, "--bad", bad, "--", *arguments)

    def old_releases(self, rules: Sequence[str]) -> str:
        """Return the releases whose rules are those of the recording one, see `reference.rules.old_releases`."""
        return old_releases(rules, release_of(self.recorded), release_of(self.observed), self.now.engine)

    def changed_overrides(self, only: Iterable[str] | None = None) -> list[str]:
        """Return the names of configuration fields, or of `only` these, that the test sets otherwise than recorded."""
        before, now = overrides(self.recorded), overrides(self.observed)
        names = sorted(before.keys() | now.keys()) if only is None else only
        return [name for name in names if _shown(before, name) != _shown(now, name)]

    def overrides_sentence(self, names: Iterable[str]) -> str:
        """Return the sentence that names these fields with both values."""
        before, now = overrides(self.recorded), overrides(self.observed)
        pairs = ", ".join(f"{name}: {_shown(before, name):.60} -> {_shown(now, name):.60}" for name in names)
        return f"the test sets other configuration fields at load: {pairs}"


def listed(names: Sequence[str]) -> str:
    """Return the first few names, for a sentence."""
    return ", ".join(names[:_NAMED]) + (", …" if names[_NAMED:] else "")


def overrides(record: Record) -> dict[str, Any]:
    """Return the configuration fields that the test sets at load."""
    fields: dict[str, Any] = json.loads(record.checkpoint.overrides or "{}")
    return fields


def release_of(record: Record) -> str:
    """Return the release of transformers that made a record."""
    return record.provenance.versions.get("transformers", "5.23")


def rules_of(record: Record) -> Rules:
    """Return the rules of that release."""
    return Rules.of(release_of(record))


def _shown(fields: Mapping[str, Any], name: str) -> str:
    return json.dumps(fields[name]) if name in fields else "(not set)"
