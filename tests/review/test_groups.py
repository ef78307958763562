from __future__ import annotations

from dataclasses import replace

from pytest_hfmodels.commands.reviewing.groups import groups
from pytest_hfmodels.results.pending import Pending


def change(name: str, cause: str | None, verdict: str) -> Pending:
    return Pending(name, verdict, name, name, None, None, "", cause)


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

    assert [(group.title, [one.test for one in group.changes]) for group in found] == [
        ("forward, near-tie: 1 snapshot", ["e"]),
        ("forward, of-a-later-release: 1 snapshot", ["g"]),
        ("search, changed: 2 snapshots", ["c", "d"]),
        ("search, drift: 1 snapshot", ["b"]),
        ("cause undetermined, changed: 1 snapshot", ["a"]),
        ("cause undetermined, missing: 1 snapshot", ["f"]),
    ]


def test_nothing_has_no_groups() -> None:
    assert groups([]) == []


def test_what_has_another_reason_is_another_group_and_what_is_not_known_has_none() -> None:
    found = groups(
        [
            replace(change("a", "forward", "changed"), why=("block 2 differs first", "drift 1")),
            replace(change("b", "forward", "changed"), why=("block 1 differs first", "drift 2")),
            replace(change("c", "forward", "changed"), why=("block 2 differs first", "drift 3")),
            replace(change("d", None, "changed"), why=("the model is gone",)),
            replace(change("e", None, "changed"), why=("it cannot be told",)),
        ]
    )

    assert [[one.test for one in group.changes] for group in found] == [["b"], ["a", "c"], ["d", "e"]]
