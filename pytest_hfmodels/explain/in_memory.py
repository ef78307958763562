"""What a test has changed of the model in memory: then it is not its checkpoint's any more, whatever a release does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_hfmodels.explain.releases import moved_versions
from pytest_hfmodels.snapshots.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.records import Record
    from pytest_hfmodels.records.evidence import Origin

_SETTINGS, _TOKENIZER = "generation_config.", "tokenizer"
_SHOWN = 3
_NAMED = re.compile(r"^(tensor|training mode of|requires_grad of) (the model|[^\s:]+)")


def of_the_model(origin: Origin) -> list[str]:
    """Return what has changed of what numbers come from: weights, hooks, configuration."""
    return [change for change in origin.altered() if not change.startswith((_SETTINGS, _TOKENIZER))]


def of_the_tokenizer(origin: Origin | None) -> list[str]:
    """Return what has changed of what ids and text come from."""
    return [] if origin is None else [one for one in origin.altered(weights=False) if one.startswith(_TOKENIZER)]


def of_settings(origin: Origin | None, names: Sequence[str]) -> list[str]:
    """Return what has changed of these settings: in a configuration, or as the tokenizer's padding side."""
    wanted = tuple(f"{place}.{name}: " for name in names for place in ("generation_config", "config", "tokenizer"))
    return [] if origin is None else [one for one in origin.altered(weights=False) if one.startswith(wanted)]


def sentence(changes: Sequence[str], what: str = "model") -> str:
    """Return changes as the reason why."""
    return f"the test has changed the {what} in memory, so that it is no longer the checkpoint's: {listed(changes)}"


def as_evidence(changes: Sequence[str], what: str = "model") -> Evidence:
    """Return changes as something that was found, where another reason may stand beside it."""
    return Evidence(f"the {what} in memory has changed since it was loaded: {listed(changes)}")


def listed(changes: Sequence[str]) -> str:
    """Return the first few changes, and how many more there are; those of many tensors or modules as one."""
    alike: dict[str, list[str]] = {}
    for one in changes:
        alike.setdefault(_NAMED.sub(r"\1", one), []).append(one)
    told = [f"{those[0]:.120}{f', and {len(those) - 1} more so' if those[1:] else ''}" for those in alike.values()]
    more = len(told) - _SHOWN
    return f"{'; '.join(told[:_SHOWN])}{f'; and {more} more' if more > 0 else ''}"


def stands_alone(recorded: Record, observed: Record) -> bool:
    """Tell whether no release has moved, so that a change in memory is the one thing that is known to be another."""
    return not moved_versions(recorded, observed)
