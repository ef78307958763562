from __future__ import annotations

from pytest_hfmodels.commands.reviewing.groups import groups, title
from pytest_hfmodels.results.pending import Pending


def change(name: str, cause: str | None, verdict: str, *why: str) -> Pending:
    return Pending(name, verdict, name, name, None, None, "", cause, why)


def test_changes_of_a_cause_stand_together_and_the_undetermined_last() -> None:
    found = groups(
        [
            change("a", None, "changed"),
            change("b", "search", "drift"),
            change("c", "search", "changed"),
            change("e", "forward", "near-tie"),
            change("d", "search", "changed"),
            change("f", None, "missing"),
            change("g", "forward", "of-a-later-release"),
        ]
    )

    assert [(title(group), [one.test for one in group]) for group in found] == [
        ("forward, near-tie: 1 snapshot", ["e"]),
        ("forward, of-a-later-release: 1 snapshot", ["g"]),
        ("search, changed: 2 snapshots", ["c", "d"]),
        ("search, drift: 1 snapshot", ["b"]),
        ("cause undetermined, changed: 1 snapshot", ["a"]),
        ("cause undetermined, missing: 1 snapshot", ["f"]),
    ]


def test_what_has_another_reason_is_another_group_and_what_is_not_known_has_none() -> None:
    found = groups(
        [
            change("a", "forward", "changed", "block 2 differs first", "drift 1"),
            change("b", "forward", "changed", "block 1 differs first", "drift 2"),
            change("c", "forward", "changed", "block 2 differs first", "drift 3"),
            change("d", None, "changed", "the model is gone"),
            change("e", None, "changed", "it cannot be told"),
        ]
    )

    assert [[one.test for one in group] for group in found] == [["b"], ["a", "c"], ["d", "e"]]
