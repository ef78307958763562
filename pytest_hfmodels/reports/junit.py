"""A test's result as properties, for JUnit XML and report logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.verdicts import Verdict, severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.results.model import Compared


def properties(comparisons: Sequence[Compared], entry: str | None) -> Iterator[tuple[str, str]]:
    """Yield name and value of each property.

    Args:
        comparisons: all of a test; the most serious one counts for the test.
        entry: the ledger entry that decided about the test, or None.
    """
    if comparisons:
        yield from _of(min(comparisons, key=lambda found: severity(found.verdict)))
    from_base = min(comparisons, key=lambda found: severity(found.base), default=None)
    if from_base is not None and from_base.base is not None:
        entry = entry or from_base.entry
        yield "hfmodels_base", str(from_base.base)
    if entry is not None:
        yield "hfmodels_ledger", entry


def _of(worst: Compared) -> Iterator[tuple[str, str]]:
    yield "hfmodels_verdict", str(worst.verdict)
    if worst.drift is not None:
        yield "hfmodels_drift", f"{worst.drift:.3g}"
    if worst.verdict is not Verdict.SAME:
        yield "hfmodels_says", visible_line(f"{worst.verdict}: {worst.reason} ({worst.snapshot})")
    if worst.cause is not None:
        yield "hfmodels_cause", worst.cause
    if worst.explanation is not None:
        yield "hfmodels_why", visible_line(worst.explanation.sentence)
        yield "hfmodels_tokens", str(worst.changed)
