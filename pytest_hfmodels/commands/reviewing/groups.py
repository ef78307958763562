"""The order of a review: changes that share a cause, its reason and a verdict stand together, unknown causes last."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.snapshots.pending import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_hfmodels.results.pending import Pending


@dataclass(frozen=True)
class Group:
    """Changes of one cause, one reason for it and one verdict, by test.

    Args:
        cause: its name, or `undetermined`.
        verdict: likewise.
        changes: at least one.
    """

    cause: str
    verdict: str
    changes: tuple[Pending, ...]

    @property
    def title(self) -> str:
        """`forward, changed: 14 tests`."""
        count = len(self.changes)
        cause = f"{self.cause}, " if self.changes[0].cause else "cause undetermined, "
        return f"{cause}{self.verdict}: {count} {'snapshot' if count == 1 else 'snapshots'}"


def groups(changes: Iterable[Pending]) -> list[Group]:
    """Return the groups: by cause, then the most serious verdict first, then by the reason, as at the end of a run."""
    ordered = sorted(changes, key=lambda change: (*_key(change), change.test, change.snapshot))
    return [
        Group(cause_of(own[0]), own[0].verdict, own) for _, found in groupby(ordered, _key) if (own := tuple(found))
    ]


def _key(change: Pending) -> tuple[bool, str, int, str, str]:
    return (
        change.cause is None,
        change.cause or "",
        severity(change.verdict),
        change.verdict,
        change.why[0] if change.cause and change.why else "",  # what is not known is no reason that two share
    )
