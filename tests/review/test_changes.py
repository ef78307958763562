from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.commands.reviewing.changes import groups, headline, old_releases, title, usual_variation
from pytest_hfmodels.results.pending import Pending
from pytest_hfmodels.snapshots.format import dump

from ..example_records import generation, provenance

if TYPE_CHECKING:
    from pathlib import Path


def change(name: str, cause: str | None, verdict: str, *why: str) -> Pending:
    return Pending(name, verdict, name, name, None, None, "", cause, why)


def test_the_gravest_come_first_and_those_of_a_cause_stand_together() -> None:
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
        ("search, changed: 2 snapshots", ["c", "d"]),
        ("cause undetermined, changed: 1 snapshot", ["a"]),
        ("cause undetermined, missing: 1 snapshot", ["f"]),
        ("forward, near-tie: 1 snapshot", ["e"]),
        ("search, drift: 1 snapshot", ["b"]),
        ("forward, of-a-later-release: 1 snapshot", ["g"]),
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


def made_with(**versions: str) -> str:
    return dump(generation(provenance=replace(provenance(), versions=versions)))


@pytest.mark.parametrize(
    ("then", "now", "suggested"),
    [
        (
            {"transformers": "4.57.6", "torch": "2.13.0"},
            {"transformers": "5.0.0", "torch": "2.13.0"},
            "transformers<5.0.0",
        ),
        ({"transformers": "4.57.6"}, {"transformers": "5.0.0rc1"}, "transformers<5.0.0"),
        ({"transformers": "4.57.6"}, {"transformers": "4.49.0"}, "transformers>4.49.0"),
        (
            {"transformers": "4.57.6", "torch": "2.12.0"},
            {"transformers": "4.57.6", "torch": "2.13.0+cpu"},
            "torch<2.13.0",
        ),
        ({"transformers": "4.57.6"}, {"transformers": "4.57.6"}, ""),
        ({"transformers": "4.57.6"}, {"transformers": "main"}, ""),
        ({}, {}, ""),
    ],
)
def test_the_old_output_s_releases_are_suggested(
    tmp_path: Path, then: dict[str, str], now: dict[str, str], suggested: str
) -> None:
    (tmp_path / "s.toml").write_text(made_with(**then))
    found = Pending("t", "changed", "s.toml", "s.toml", None, None, made_with(**now))

    assert old_releases(found, tmp_path) == suggested


def test_the_range_that_a_cause_names_is_offered_before_the_one_of_the_versions(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(made_with(transformers="4.49.0"))
    found = Pending("t", "changed", "s.toml", "s.toml", None, None, made_with(transformers="5.0.0"))

    offered = [usual_variation(one, tmp_path) for one in (found, replace(found, releases="transformers<4.50"))]

    assert [(one.name, one.when) for one in offered] == [
        ("before-5.0.0", "transformers<5.0.0"),
        ("before-4.50", "transformers<4.50"),
    ]


def test_the_headline_counts_a_test_once_and_names_both_releases(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(made_with(transformers="4.49.0"))
    now = made_with(transformers="5.0.0")
    found = [
        replace(change(name, cause, verdict, why), snapshot=snapshot, compared=snapshot, text=now)
        for name, cause, verdict, why, snapshot in (
            ("a", "search", "changed", "a rule", "s.toml"),
            ("a", "search", "drift", "a rule", "a.1.toml"),
            ("b", "forward", "drift", "block 1", "b.toml"),
            ("c", None, "drift", "not known", "c.toml"),
            ("d", None, "missing", "", "d.toml"),
        )
    ]
    damaged = replace(found[2], test="e", text="[")

    said = headline([*found, damaged], tmp_path)

    assert said == "transformers 4.49.0 → 5.0.0: 1 output changed, 3 drifted, 1 new; 2 causes"


@pytest.mark.parametrize(
    ("stages", "what"),
    [(["ids", "text"], "2 texts"), (["ids", "labels"], "2 outputs"), (["ids", ""], "2 outputs")],
)
def test_the_headline_speaks_of_texts_where_only_texts_changed(tmp_path: Path, stages: list[str], what: str) -> None:
    found = [replace(change(f"{at}.toml", None, "changed"), stage=stage) for at, stage in enumerate(stages)]

    assert headline(found, tmp_path) == f"{what} changed"
