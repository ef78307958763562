"""What tests of one cause share: its sentence, the release since which they differ, and the remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from pytest_hfmodels.kinds.comparison import PADDING_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.results.model import Compared, Side

# What differs from test to test even if the cause is the same: the row of a batch, the share of a movement.
_OWN = re.compile(r"^row \d+: |(?<= )\d+ %(?= )")
# Causes that a release brings; others have a remedy of their own.
_OF_RELEASES = ("backend", "forward", "search", "decoding", "tokenizer", "preprocessor", "chat-template")
_NAMED = 4  # settings in a remedy


def shared_sentence(sentence: str) -> str:
    """Return the part of a cause's sentence that its tests share."""
    return _OWN.sub("", sentence)


def since(found: Compared) -> str:
    """Return the release since which a comparison differs, or the changed packages if they may be the reason."""
    why = found.explanation
    if why is None:
        return ""
    if why.releases:
        return since_words(why.releases)
    moved = moved_packages(found) if why.suggests else ()
    return ", ".join(f"{name} {then} → {now}" for name, then, now in moved)


def since_words(releases: str) -> str:
    """Return `since transformers 4.50` for the range of the old output, `transformers<4.50`."""
    try:
        named = Requirement(releases)
    except InvalidRequirement:
        return ""
    bounds = [(one.operator, one.version) for one in named.specifier]
    words = {"<": "since", ">=": "before"}
    return f"{words[bounds[0][0]]} {named.name} {bounds[0][1]}" if len(bounds) == 1 and bounds[0][0] in words else ""


def moved_packages(found: Compared) -> Iterator[tuple[str, str, str]]:
    """Yield each package whose version differs from the recorded one, with both versions; transformers first."""
    if found.recorded is None:
        return
    then, now = found.recorded.provenance.versions, found.observed.provenance.versions
    for name in sorted({*then} & {*now}, key=lambda name: (name != "transformers", name)):
        if then[name] != now[name]:
            yield name, then[name], now[name]


def remedy(found: Compared) -> str:
    """Return how to get the recorded output back, or an empty string if that is unknown."""
    if found.recorded is None or found.explanation is None or found.cause is None:
        return ""
    then, now, cause = found.recorded.provenance, found.observed.provenance, found.cause
    if cause == "dtype":
        return f'load the model in {then.dtype}: dtype="{then.dtype}"'
    if cause == "attention" and then.attention != now.attention:
        return f'load the model with {then.attention} attention: attention="{then.attention}"'
    settings = [one for one in found.differences if one.stage == "settings"]
    side = next((one for one in settings if one.what == PADDING_SIDE), None)
    if cause == "settings" and side is not None:  # no call takes it
        return f"set padding_side to {side.recorded!r} in the tokenizer_config.json of {found.recorded.checkpoint.name}"
    if cause in ("generation-defaults", "settings") and settings:
        return f"ask for the recorded values: {', '.join(f'{one.what}={one.recorded}' for one in settings[:_NAMED])}"
    if cause.startswith("checkpoint:"):
        return _of_checkpoint(found.recorded, found.observed)
    return _of_releases(found) if cause in _OF_RELEASES else ""


def _of_checkpoint(recorded: Side, observed: Side) -> str:
    then, now = recorded.checkpoint, observed.checkpoint
    if then.revision and then.revision != now.revision:
        return f'load the recorded revision: revision="{then.revision}"'
    return f"restore the recorded files of {then.name}"


def _of_releases(found: Compared) -> str:
    assert found.explanation is not None
    if found.explanation.releases:
        return f"install {found.explanation.releases}"
    if not found.explanation.suggests:
        return ""
    return f"install {', '.join(f'{name}=={then}' for name, then, _ in moved_packages(found))}"
