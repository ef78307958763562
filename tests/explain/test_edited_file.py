"""Explanations where a file names a number or a token that no run records."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.snapshots import Verdict

from .asking import ask, stored, told
from .test_causes import BEAMS, classify, generate

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache


@pytest.mark.parametrize("value", [math.nan, math.inf, 3.0])
def test_a_loss_that_differs_is_named(models: ModelCache, value: float) -> None:
    observed = classify(models.load("./model", task="text-classification", pad_token_id=0), labels=[0, 2])
    assert observed.loss is not None
    recorded = stored(replace(observed, loss=replace(observed.loss, value=value)))

    found = ask(recorded, observed)

    assert "within the noise floor of" not in found.sentence
    assert "loss" in found.sentence
    assert ("not a finite number" in found.sentence) is not math.isfinite(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_beam_score_that_is_not_finite_is_named(models: ModelCache, value: float) -> None:
    observed = generate(models.load("./model"), **BEAMS)
    first, *others = observed.beams
    recorded = stored(replace(observed, beams=(replace(first, score=value), *others)))

    found = ask(recorded, observed)

    assert (found.verdict, found.cause) == (Verdict.DRIFT, None)
    assert found.sentence == (
        f"the beam score differs: the file records {value}, which is not a finite number; now it is {first.score:.6g}"
    )


def test_a_margin_that_differs_is_named(models: ModelCache) -> None:
    observed = classify(models.load("./model", task="text-classification", pad_token_id=0))
    first, *others = observed.inputs
    recorded = stored(replace(observed, inputs=(replace(first, margin=first.margin + 1), *others)))

    found = ask(recorded, observed)

    assert found.cause is None
    said = f"the margin of its labels differs: the file records {first.margin + 1:.6g}; now it is "
    assert found.sentence.startswith(said)
    assert "noise floor" not in found.sentence


def test_a_step_s_number_that_is_not_finite_is_named(models: ModelCache) -> None:
    observed = generate(models.load("./model"))
    first, *others = observed.steps
    for name in ("log_probability", "processed"):
        change: dict[str, Any] = {name: math.nan}
        recorded = stored(replace(observed, steps=(replace(first, **change), *others)))

        found = ask(recorded, observed)

        assert found.cause is None, name
        assert "not a finite number" in found.sentence


@pytest.mark.parametrize("token", [257, 10**6, 2**40, 2**63 - 1])
@pytest.mark.parametrize("settings", [{}, BEAMS], ids=["greedy", "beams"])
def test_a_token_outside_the_vocabulary_is_named(models: ModelCache, token: int, settings: dict[str, Any]) -> None:
    observed = generate(models.load("./model"), **settings)
    first, *others = observed.steps
    ids = (token, *observed.ids[1:])
    edits: list[dict[str, Any]] = [
        {
            "steps": (replace(first, id=token), *others),
            "beams": tuple(replace(beam, ids=ids) for beam in observed.beams[:1]) + observed.beams[1:],
        },
        {"prompt": replace(observed.prompt, ids=(token, *observed.prompt.ids[1:]))},
    ]
    if observed.beams:
        edits.append({"beams": (*observed.beams[:-1], replace(observed.beams[-1], ids=ids))})
    for edit in edits:
        found = ask(stored(replace(observed, **edit)), observed)

        assert (found.cause, found.sentence) == (
            None,
            f"the file names token {token}, but the vocabulary of the model has 257 tokens",
        )


def test_a_text_s_token_outside_the_vocabulary_is_named(models: ModelCache) -> None:
    observed = classify(models.load("./model", task="text-classification", pad_token_id=0))
    first, *others = observed.inputs
    recorded = stored(replace(observed, inputs=(replace(first, ids=(2**40, *first.ids[1:])), *others)))

    assert f"the file names token {2**40}, but the vocabulary" in ask(recorded, observed).sentence


def test_a_token_outside_a_vocabulary_that_has_shrunk_is_the_checkpoint_s(models: ModelCache) -> None:
    observed = generate(models.load("./model"))
    first, *others = observed.steps
    seen = replace(observed.checkpoint, config="sha256:another")
    recorded = stored(replace(observed, steps=(replace(first, id=300), *others), checkpoint=seen))

    found = ask(recorded, observed)

    assert found.cause == "checkpoint:config"
    assert "the file names token 300, but the vocabulary of the model has 257 tokens" in told(found)
