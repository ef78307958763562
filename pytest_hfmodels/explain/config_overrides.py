"""Configuration fields that the test sets at load: recorded and now. For `layers` and `ablation`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pytest_hfmodels.kinds import Record


def recorded_overrides(record: Record) -> dict[str, Any]:
    """Return the fields that the test sets."""
    fields: dict[str, Any] = json.loads(record.checkpoint.overrides or "{}")
    return fields


def changed_overrides(recorded: Record, observed: Record) -> list[str]:
    """Return the names of fields that the test sets otherwise than recorded."""
    before, now = recorded_overrides(recorded), recorded_overrides(observed)
    names = sorted(before.keys() | now.keys())
    return [name for name in names if _shown(before, name) != _shown(now, name)]


def overrides_sentence(recorded: Record, observed: Record, names: Collection[str]) -> str:
    """Return the sentence that names these fields with both values."""
    before, now = recorded_overrides(recorded), recorded_overrides(observed)
    told = ", ".join(f"{name}: {_shown(before, name):.60} -> {_shown(now, name):.60}" for name in names)
    return f"the test sets other configuration fields at load: {told}"


def _shown(fields: Mapping[str, Any], name: str) -> str:
    return json.dumps(fields[name]) if name in fields else "(not set)"
