"""The order of a review: changes that share a cause, its reason and a verdict stand together, unknown causes last."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.reports.summary import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_hfmodels.results.pending import Pending


def groups(changes: Iterable[Pending]) -> list[list[Pending]]:
    """Return the groups: by cause, then the most serious verdict first, then by the reason, as at the end of a run."""
    ordered = sorted(changes, key=lambda change: (*_key(change), change.test, change.snapshot))
    return [list(found) for _, found in groupby(ordered, _key)]


def title(group: Sequence[Pending]) -> str:
    """Return `forward, changed: 14 snapshots`."""
    cause = group[0].cause or "cause undetermined"
    return f"{cause}, {group[0].verdict}: {counted(len(group), 'snapshot')}"


def _key(change: Pending) -> tuple[bool, str, int, str, str]:
    why = change.why[0] if change.cause and change.why else ""  # what is not known is no reason that two share
    return change.cause is None, change.cause or "", severity(change.verdict), change.verdict, why
