"""What JUnit XML and report logs say of a test that compared snapshots: its verdict, in words and figures."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.kinds.comparison import Verdict
from pytest_hfmodels.reports.summary import course_of, movement
from pytest_hfmodels.reports.terminal import mismatch
from pytest_hfmodels.verdicts import severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.snapshots.assertion import Outcome


def properties(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each property.

    Args:
        outcomes: all comparisons of a test, at least one; the most serious one counts for the test.
    """
    worst = min(outcomes, key=lambda outcome: severity(outcome.comparison.verdict))
    yield "hfmodels_verdict", str(worst.comparison.verdict)
    moved = movement(worst)
    if moved is not None:
        yield "hfmodels_drift", f"{moved:.3g}"
    if worst.comparison.verdict is not Verdict.SAME:
        yield "hfmodels_says", mismatch(worst, verbose=False)[0]
    if worst.explanation is not None:
        if worst.explanation.cause is not None:
            yield "hfmodels_cause", worst.explanation.cause
        yield "hfmodels_why", visible_line(worst.explanation.sentence)
        yield "hfmodels_tokens", str(_changed_parts(worst))
    from_base = [(outcome, outcome.from_base) for outcome in outcomes if outcome.from_base is not None]
    if not from_base:
        return
    outcome, comparison = min(from_base, key=lambda pair: severity(pair[1].verdict))
    assert outcome.variant is not None, "a comparison with the base is made where a variant stands for it"
    yield "hfmodels_base", str(comparison.verdict)
    yield "hfmodels_ledger", outcome.variant.entry.name


def _changed_parts(outcome: Outcome) -> int:
    """Return how many generated tokens differ; an output that ends early or late counts."""
    course = course_of(outcome)
    if course is None or course.divergence is None:
        return 0
    return sum(
        before is None or now is None or before.id != now.id
        for before, now in zip_longest(course.recorded, course.observed)
    )
