"""An explanation names a known change of transformers only where the evidence fits."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_hfmodels.explain.known import fitting_changes, sentences
from pytest_hfmodels.kinds.explanation import Explanation
from pytest_hfmodels.kinds.registry import kind_named

from ..example_records import EFFECTIVE, generation, provenance


def known(
    before: str,
    after: str,
    cause: str | None,
    *,
    beams: int = 3,
    rules: tuple[str, ...] = (),
    model: str = "llama",
    loaded: tuple[dict[str, Any], dict[str, Any]] = ({}, {}),
) -> list[str]:
    sides = [
        replace(provenance(), versions={"transformers": release}, **own)
        for release, own in zip((before, after), loaded, strict=True)
    ]
    record = generation(effective={**EFFECTIVE, "num_beams": beams})
    config = SimpleNamespace(to_dict=lambda: {"model_type": model})
    origin = SimpleNamespace(loaded=SimpleNamespace(model=SimpleNamespace(config=config)))
    case: Any = SimpleNamespace(recorded=record, then=sides[0], now=sides[1], origin=origin)
    found = Explanation("changed", cause, "said", rules=rules)
    return [evidence.what for evidence in sentences(case, found, fitting_changes(case, found))]


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
        {"before": "4.44.2", "cause": "generation-defaults"},
    ],
    ids=["no-beams", "no-cause", "other-cause", "both-have-it", "rule-found", "default-of-another-setting"],
)
def test_it_is_not_named_without_the_evidence(changed: dict[str, Any]) -> None:
    assert known(**{"before": "4.49.0", "after": "4.57.6", "cause": "search", **changed}) == []


HALF, FULL = {"dtype": "float16"}, {"dtype": "float32"}
SDPA, EAGER = {"attention": "sdpa"}, {"attention": "eager"}


@pytest.mark.parametrize(
    ("cause", "releases", "loaded", "said"),
    [
        ("dtype", ("4.57.6", "5.0.0"), (FULL, HALF), "Weights keep the checkpoint's dtype"),
        ("dtype", ("5.0.0", "4.57.6"), (HALF, FULL), "Weights keep the checkpoint's dtype"),
        ("dtype", ("4.57.6", "5.0.0"), (HALF, FULL), None),
        ("dtype", ("5.0.0", "5.23.0"), (FULL, HALF), None),
        ("forward", ("4.57.6", "5.0.0"), (FULL, HALF), None),
        ("attention", ("4.40.2", "4.44.2"), (EAGER, SDPA), "default attention is eager"),
        ("attention", ("4.40.2", "4.44.2"), (SDPA, EAGER), None),
    ],
)
def test_a_new_default_is_named_if_the_model_was_loaded_with_it(
    cause: str, releases: tuple[str, str], loaded: tuple[dict[str, Any], dict[str, Any]], said: str | None
) -> None:
    found = known(*releases, cause, model="gpt2", loaded=loaded)

    assert len(found) == (said is not None)
    assert all(str(said) in one for one in found)


@pytest.mark.parametrize("name", ["embedding", "tokens", "tensors", "score", "accuracy"])
def test_settings_alone_make_no_generation(name: str) -> None:
    record: Any = SimpleNamespace(effective={"num_beams": 3})
    kind, batch = kind_named(name), kind_named("batch")
    assert kind is not None
    assert batch is not None

    assert [*kind.features(record)] == []
    assert [*batch.features(record)] == ["generation", "beams"]
