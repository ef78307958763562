"""A classifier's numbers, piece by piece; test_causes has whole models."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_hfmodels.explain.case import Case
from pytest_hfmodels.kinds import ClassifiedInput, LivePass, Loss, ModelRef
from pytest_hfmodels.kinds.classification import explain as classifier
from pytest_hfmodels.kinds.classification.kind import label_ties
from pytest_hfmodels.kinds.forward_pass import rows_moved
from pytest_hfmodels.snapshots import Tolerance, compare

from ..example_records import classification, provenance

# A padding id amid the first text: releases before 4.49 read the word before it, later ones the last.
IDS = np.asarray([[5, 0, 6], [1, 2, 3]])
STATES = np.asarray([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]])


def rows(*logits: float) -> Any:
    found = tuple(ClassifiedInput(f"text {value}", (1, 2), (value,), "calm", 0.0, ()) for value in logits)
    return classification(inputs=found, effective={"pad_token_id": 0}, loss=None)


def case(recorded: Any, observed: Any, passes: Any = None) -> Any:
    return replace(Case.of(compare(recorded, observed, Tolerance(1e-4)), recorded, observed), passes=passes)


def pooled(*recorded: float, release: str = "4.45.0", mask: Any = None, states: Any = STATES) -> Any:
    then = replace(provenance(), versions={"transformers": release})
    inputs = {"input_ids": IDS, **({} if mask is None else {"attention_mask": np.asarray(mask)})}
    loaded = SimpleNamespace(model=SimpleNamespace(score=lambda words: words), tensor=np.asarray)
    passes: Any = SimpleNamespace(
        origin=SimpleNamespace(loaded=loaded),
        classify=lambda *_: SimpleNamespace(hidden_states=[states] if states is not None else []),
    )
    observed = replace(rows(3.0, 6.0), live=LivePass(inputs, ModelRef(None, {})))
    return classifier._pooling(case(replace(rows(*recorded), provenance=then), observed, passes))


def test_another_word_is_read_where_exactly_those_texts_moved() -> None:
    sentence, evidence = pooled(1.0, 6.0)

    assert "in 4.45.0 the one before the first padding (4.32 to 4.48)" in sentence
    assert evidence.what.startswith("only texts in which the two words differ have moved (1)")
    assert "reading the earlier word gives the recorded logits for 1 of them" in evidence.what


def test_it_is_no_other_word_where_others_moved_or_it_says_something_else() -> None:
    assert pooled(1.0, 9.0) is None
    assert pooled(1.7, 6.0) is None
    assert pooled(1.0, 6.0, release="4.57.6") is None


def test_what_a_padding_word_says_is_not_held_against_the_recorded() -> None:
    _, evidence = pooled(1.7, 6.0, mask=[[0, 1, 1], [1, 1, 1]])

    assert evidence.what.endswith("have moved (1); for 1 the earlier word is padding")


def test_a_model_without_hidden_states_cannot_be_read() -> None:
    assert pooled(1.0, 6.0, states=None) is None


def alone(after: float) -> str:
    passes: Any = SimpleNamespace(classify=lambda *_: SimpleNamespace(logits=np.asarray([[after]])))
    live = LivePass({"input_ids": IDS}, ModelRef(None, {}))
    (found,) = classifier.EXPLAINER.alone(case(rows(1.0, 6.0), replace(rows(1.1, 7.0), live=live), passes))
    return found.what


def test_the_text_that_moved_most_is_asked_alone() -> None:
    assert alone(6.0) == "text 2 moved most, by 1; run on its own it matches the recorded numbers within 0"
    assert (
        alone(6.9) == "text 2 moved most, by 1; run on its own it still differs by 0.9, so batching is not the reason"
    )


def test_a_single_text_is_alone_already() -> None:
    assert classifier.EXPLAINER.alone(case(rows(1.0), rows(2.0))) == []


@pytest.mark.parametrize(("kind", "value"), [("regression", 2.5), ("inferred", None)])
def test_the_reference_makes_the_loss_of_the_kind_that_is_asked_for(kind: str, value: float | None) -> None:
    inputs = tuple(replace(row, logits=(1.0, 2.0)) for row in classification().inputs)
    about: dict[str, Any] = {"inputs": inputs, "effective": {"problem_type": kind}}
    observed = classification(loss=Loss(0.5, ((0.0, 0.0), (0.0, 0.0))), **about)

    found = classifier._loss(case(classification(), observed))

    squared = pytest.approx(2.5)
    assert (found.figures["reference"] == squared) is (value is not None)


def test_how_far_logits_moved_whichever_way() -> None:
    assert rows_moved(rows(1.0, 6.0).logits, [[0.5], [6.0]]) == [0.5, 0.0]
    assert rows_moved(rows(1.0, 6.0).logits, [[1.0], [6.25]]) == [0.0, 0.25]


def test_of_several_readings_the_least_close_is_reported() -> None:
    first, second = classification().inputs
    then = classification(inputs=(replace(first, margin=0.1), replace(second, margin=0.5)))
    now = classification(inputs=(replace(first, label="x", margin=0.1), replace(second, label="y", margin=0.2)))

    found = max(label_ties(then, now), key=lambda tie: tie.margin)

    assert (found.position, found.margin) == (1, 0.5)
    assert found.evidence in classifier.EXPLAINER.output(case(then, now)).evidence
