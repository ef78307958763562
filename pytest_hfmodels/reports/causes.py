"""What a run says at its end of the tests that share a cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.explain.grouping import TestSummary, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SHOWN = 10
_WHY = 160


def causes(reports: Iterable[Any]) -> Iterator[str]:
    """Yield a line for each cause, the commonest first, and its reason below; nothing where no test was explained."""
    told = [_told(report) for report in reports]
    groups = grouped([test for test in told if test is not None])
    for group in groups[:_SHOWN]:
        yield visible_line(group.sentence)
        if group.cause is not None:
            why = visible_line(group.why)
            yield f"  {why if len(why) <= _WHY else f'{why[:_WHY]}…'}"
    if len(groups) > _SHOWN:
        yield f"{len(groups) - _SHOWN} more causes: --hfmodels-html FILE tells of all"


def _told(report: Any) -> TestSummary | None:
    said = dict(report.user_properties)
    if "hfmodels_why" not in said:
        return None
    return TestSummary(
        test=report.nodeid,
        verdict=said["hfmodels_verdict"],
        cause=said.get("hfmodels_cause"),
        why=said["hfmodels_why"],
        drift=float(said["hfmodels_drift"]) if "hfmodels_drift" in said else None,
        tokens=int(said.get("hfmodels_tokens", "0")),
    )
