"""Everything that ranks verdicts uses the same order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_hfmodels

DESIGN = ("changed", "broken", "missing", "near-tie", "drift", "same")


def test_all_rankings_use_the_same_list() -> None:
    from pytest_hfmodels.kinds.comparison import Verdict
    from pytest_hfmodels.reports import results
    from pytest_hfmodels.review.groups import groups
    from pytest_hfmodels.snapshots.pending import Pending
    from pytest_hfmodels.verdicts import BY_SEVERITY, severity
    from pytest_hfmodels.versions.results import State

    changes = [Pending("a", verdict, verdict, verdict, None, None, "") for verdict in sorted(DESIGN)]

    assert BY_SEVERITY == results.VERDICTS == DESIGN
    assert sorted(Verdict, key=severity) == [verdict for verdict in DESIGN if verdict != "broken"]
    assert tuple(sorted(State, key=severity)[: len(DESIGN)]) == DESIGN
    assert [group.verdict for group in groups(changes)] == list(DESIGN)


def test_there_is_no_second_list() -> None:
    folder = Path(pytest_hfmodels.__file__).parent
    listing = re.compile(r"[(\[]\s*(\"(?:changed|broken|missing|near-tie|drift|same)\"\s*,\s*){3}")

    found = [path.name for path in sorted(folder.rglob("*.py")) if listing.search(path.read_text(encoding="utf-8"))]

    assert found == ["verdicts.py"]
