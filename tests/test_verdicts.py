"""Everything that ranks verdicts uses the same order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_hfmodels

DESIGN = ("changed", "broken", "missing", "near-tie", "drift", "same")


def test_all_rankings_use_the_same_list() -> None:
    from pytest_hfmodels.commands.reviewing.changes import groups
    from pytest_hfmodels.foundation.verdicts import BY_SEVERITY, Verdict, severity
    from pytest_hfmodels.results.pending import Pending
    from pytest_hfmodels.versions.results import State

    changes = [Pending("a", verdict, verdict, verdict, None, None, "") for verdict in sorted(DESIGN)]

    assert BY_SEVERITY == DESIGN
    assert tuple(sorted(Verdict, key=severity)) == DESIGN
    assert tuple(sorted(State, key=severity)[: len(DESIGN)]) == DESIGN
    assert [group[0].verdict for group in groups(changes)] == list(DESIGN)


def test_no_other_list_of_verdicts_exists() -> None:
    folder = Path(pytest_hfmodels.__file__).parent
    listing = re.compile(r"[(\[]\s*(\"(?:changed|broken|missing|near-tie|drift|same)\"\s*,\s*){3}")

    found = [path.name for path in sorted(folder.rglob("*.py")) if listing.search(path.read_text(encoding="utf-8"))]

    assert found == []
