"""An explanation names a known change of transformers only where the evidence fits."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_hfmodels.explain.known import known_changes_of
from pytest_hfmodels.kinds.explanation import Explanation

from ..example_records import EFFECTIVE, generation, provenance


def known(
    before: str, after: str, cause: str | None, *, beams: int = 3, rules: tuple[str, ...] = (), model: str = "llama"
) -> list[str]:
    sides = [replace(provenance(), versions={"transformers": release}) for release in (before, after)]
    record = generation(effective={**EFFECTIVE, "num_beams": beams})
    config = SimpleNamespace(to_dict=lambda: {"model_type": model})
    origin = SimpleNamespace(loaded=SimpleNamespace(model=SimpleNamespace(config=config)))
    case: Any = SimpleNamespace(recorded=record, then=sides[0], now=sides[1], origin=origin)
    found = Explanation("changed", cause, "said", rules=rules)
    return [evidence.what for evidence in known_changes_of(case, found)]


def test_it_is_named_with_the_side_that_has_it_and_its_reference() -> None:
    (sentence,) = known("4.49.0", "4.57.6", "search")

    assert "In 4.49.0: " in sentence
    assert "huggingface/transformers#35802" in sentence


@pytest.mark.parametrize(
    "changed",
    [
        {"beams": 1},
        {"cause": None},
        {"cause": "forward"},
        {"after": "4.44.2"},
        {"rules": ("ended_beams_first",)},
    ],
    ids=["no-beams", "no-cause", "other-cause", "both-have-it", "rule-found"],
)
def test_it_is_not_named_without_the_evidence(changed: dict[str, Any]) -> None:
    assert known(**{"before": "4.49.0", "after": "4.57.6", "cause": "search", **changed}) == []
