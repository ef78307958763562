"""What is known to differ between releases of transformers, by model type and feature: `known_changes.toml` as data.

Each entry was read in the source of the releases at its ends. `hfmodels changes` and explanations read it.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from pytest_hfmodels.foundation.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

DATA = Path(__file__).with_name("known_changes.toml")
# What a model or a test must use, in words.
FEATURES = {
    "beams": "beam search",
    "caches": "caches",
    "classifier": "classifiers",
    "conversion": "TensorFlow files",
    "float64": "float64",
    "generation": "generation",
    "loading": "loading and saving",
    "padding": "padded batches",
    "sdpa": "sdpa attention",
    "tensorflow": "TensorFlow",
    "tokenizer": "tokenizers",
}


class KnownChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One difference between releases.

    Args:
        name: of the entry, unique.
        when: the releases of transformers in which `what` holds, a PEP 440 range.
        what: how those releases behave, as a sentence.
        models: the model types that it reaches; empty for all.
        features: names in `FEATURES` that it needs, each of them.
        config: fields of the configuration that it needs.
        absent: fields that the configuration leaves out or sets to null.
        cause: what an explanation names where it shows, or None.
        reference: an upstream issue or pull request, or an empty string.
        tests: the tests of this project that show it.
    """

    name: str
    when: str
    what: str
    models: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    config: dict[str, Any] = {}
    absent: tuple[str, ...] = ()
    cause: str | None = None
    reference: str = ""
    tests: tuple[str, ...]

    def __post_init__(self) -> None:
        SpecifierSet(self.when)
        unknown = {*self.features} - FEATURES.keys()
        if unknown or not self.what.endswith("."):
            raise ValueError(f"{self.name}: `features` has {sorted(unknown)}, or `what` is no sentence")

    def holds(self, release: Version) -> bool:
        """Return whether a release behaves so. A pre-release counts as its release."""
        return SpecifierSet(self.when).contains(release.base_version, prereleases=True)

    def reaches(self, model_type: str | None, config: Mapping[str, Any] | None) -> bool:
        """Return whether a model may show it; None stands for any model, and for any configuration."""
        if model_type is None:
            return True
        needed = {**dict.fromkeys(self.absent), **self.config}
        fields = config is None or all(config.get(name) == value for name, value in needed.items())
        return fields and (not self.models or model_type in self.models)

    @property
    def sentence(self) -> str:
        """What is known, with its reference."""
        return f"{self.what} ({self.reference})" if self.reference else self.what


@dataclass(frozen=True)
class Transition:
    """A change between two releases.

    Args:
        change: the entry.
        begins: whether the second release behaves so and the first does not, or the other way round.
    """

    change: KnownChange
    begins: bool


class KnownChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known.

    Args:
        releases: of transformers, the oldest first; the last is the newest that was looked at.
        models: the model types that the suites check on them.
        change: the entries.
    """

    releases: tuple[str, ...]
    models: tuple[str, ...]
    change: tuple[KnownChange, ...]

    def between(
        self,
        before: Version,
        after: Version,
        model_type: str | None = None,
        config: Mapping[str, Any] | None = None,
        features: Collection[str] = tuple(FEATURES),
    ) -> tuple[Transition, ...]:
        """Return what differs between two releases, for a model or for any.

        Args:
            before: where somebody comes from.
            after: where to; it may be the older one.
            model_type: of the configuration; None for every model.
            config: the configuration's fields; None for any.
            features: what the model may use; a change to anything else is left out.
        """
        return tuple(
            Transition(change, change.holds(after))
            for change in self.change
            if change.holds(before) != change.holds(after)
            and change.reaches(model_type, config)
            and {*change.features} <= {*features}
        )

    def release(self, text: str) -> Version:
        """Return a release that somebody typed.

        Raises:
            OptionError: the release is unknown; the message names the nearest.
        """
        known = [Version(one) for one in self.releases]
        try:
            typed = Version(text)
        except InvalidVersion:
            near = get_close_matches(text, self.releases, n=1, cutoff=0) or self.releases[-1:]
            raise OptionError(f"{text!r:.40} is not a release.", hint=f"The nearest is {near[0]}.") from None
        if typed in known:
            return typed
        before = [one for one in known if one < typed]
        near_release = max(before) if before else min(known)
        raise OptionError(
            f"transformers {text} is not a known release; the data covers {known[0]} to {known[-1]}.",
            hint=f"The nearest is {near_release}.",
        )


@functools.cache
def known_changes() -> KnownChanges:
    """Read the data."""
    return msgspec.convert(tomllib.loads(DATA.read_text(encoding="utf-8")), KnownChanges)


def fitting(
    before: str,
    after: str,
    *,
    cause: str | None,
    model_type: str | None,
    config: Mapping[str, Any],
    used: Collection[str],
) -> Sequence[KnownChange]:
    """Return the known changes between two releases that the evidence about a difference fits.

    Args:
        before: the release that recorded.
        after: the release of the test.
        cause: that was found.
        model_type: of the model; None if unknown, then changes of certain models do not fit.
        config: its configuration.
        used: the features that the test is known to use.
    """
    if cause is None:
        return ()
    try:
        releases = Version(before), Version(after)
    except InvalidVersion:
        return ()
    found = known_changes().between(*releases, model_type or "", config)
    return [one.change for one in found if one.change.cause == cause and {*one.change.features} <= {*used}]
