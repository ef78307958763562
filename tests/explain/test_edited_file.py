"""Explanations if a file names a number or a token that no run records."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.snapshots import Verdict

from .asking import BEAMS, all_said, ask, classify, generate, searches, stored

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel


@pytest.mark.parametrize("value", [math.nan, math.inf, 3.0])
def test_a_loss_that_differs_is_named(classifier: HFModel, value: float) -> None:
    observed = classify(classifier, labels=[0, 2])
    assert observed.loss is not None

    found = ask(stored(replace(observed, loss=replace(observed.loss, value=value))), observed)

    assert "within the noise floor of" not in found.sentence
    assert "loss" in found.sentence
    assert ("not a finite number" in found.sentence) is not math.isfinite(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("beam score", "log_probability") for value in (math.nan, math.inf, -math.inf)),
        *(("processed", value) for value in (math.nan, math.inf)),  # a suppressed token has -inf
    ],
)
def test_a_number_that_is_not_finite_is_named(model: HFModel, field: str, value: float) -> None:
    observed = generate(model, **BEAMS)
    if field == "beam score":
        edited = replace(observed, beams=(replace(observed.beams[0], score=value), *observed.beams[1:]))
    else:
        change: Any = {field: value}
        edited = replace(observed, steps=(replace(observed.steps[0], **change), *observed.steps[1:]))

    found = ask(stored(edited), observed)

    assert (found.verdict, found.cause) == (Verdict.DRIFT, None)
    assert f"the file records {value}, which is not a finite number" in found.sentence


def test_a_margin_that_differs_is_named(classifier: HFModel) -> None:
    observed = classify(classifier)
    first, *others = observed.inputs

    found = ask(stored(replace(observed, inputs=(replace(first, margin=first.margin + 1), *others))), observed)

    assert found.cause is None
    assert found.sentence.startswith(f"the margin of its labels differs: the file records {first.margin + 1:.6g}; now")


@pytest.mark.parametrize("token", [257, 2**63 - 1])
@searches
def test_a_token_outside_the_vocabulary_is_named(model: HFModel, token: int, settings: dict[str, Any]) -> None:
    observed = generate(model, **settings)
    first, *others = observed.steps
    ids = (token, *observed.ids[1:])
    edited = tuple(replace(beam, ids=ids) for beam in observed.beams[:1]) + observed.beams[1:]
    edits: list[dict[str, Any]] = [
        {"steps": (replace(first, id=token), *others), "beams": edited},
        {"prompt": replace(observed.prompt, ids=(token, *observed.prompt.ids[1:]))},
    ]
    if observed.beams:
        edits.append({"beams": (*observed.beams[:-1], replace(observed.beams[-1], ids=ids))})
    for edit in edits:
        found = ask(stored(replace(observed, **edit)), observed)

        assert found.cause is None
        assert found.sentence == f"the file names token {token}, but the vocabulary of the model has 257 tokens"


def test_a_text_s_token_outside_the_vocabulary_is_named(classifier: HFModel) -> None:
    observed = classify(classifier)
    first, *others = observed.inputs
    recorded = stored(replace(observed, inputs=(replace(first, ids=(2**40, *first.ids[1:])), *others)))

    assert f"the file names token {2**40}, but the vocabulary" in ask(recorded, observed).sentence


def test_a_token_outside_a_vocabulary_that_has_shrunk_is_the_checkpoint_s(model: HFModel) -> None:
    observed = generate(model)
    first, *others = observed.steps
    seen = replace(observed.checkpoint, config="sha256:another")

    found = ask(stored(replace(observed, steps=(replace(first, id=300), *others), checkpoint=seen)), observed)

    assert found.cause == "checkpoint:config"
    assert "the file names token 300, but the vocabulary of the model has 257 tokens" in all_said(found)
