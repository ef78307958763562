"""A model with a known tie: rounding turns it, and nothing larger may hide behind it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.snapshots import NOISE_FLOOR, Tolerance, Verdict, compare

from ..tiny_gpt2 import tiny_weights, write_checkpoint
from .asking import all_said, ask, blocks_shifted, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.explain import Explanation
    from pytest_hfmodels.kinds import ClassificationRecord

FLOOR = NOISE_FLOOR["same_engine"]
Y, Z = ord("y"), ord("Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in which `y` and `Z` are one and the same word, and so are its first two labels."""
    weights = tiny_weights()
    weights["transformer.wte.weight"][Z] = weights["transformer.wte.weight"][Y]
    weights["score.weight"][:2] = weights["score.weight"][2:] + 0.5  # before the third one, wherever that is positive
    return write_checkpoint(tmp_path_factory.mktemp("tied") / "model", weights=weights)


@pytest.fixture
def tied(models: ModelCache, folder: Path) -> HFModel:
    return models.load(folder)


@contextmanager
def tipped(layer: Any, index: int, amount: float) -> Iterator[None]:
    """Let the last layer add a little to one of its outputs, everywhere."""
    kind = type(layer)
    plain = kind.forward
    width = layer.weight.shape[0]

    def forward(self: Any, states: Any) -> Any:
        output = plain(self, states)
        if output.shape[-1] == width:
            output[..., index] += amount
        return output

    kind.forward = forward
    try:
        yield
    finally:
        kind.forward = plain


def replied(tied: HFModel, block: float = 0.0, head: float = 0.0) -> tuple[Any, Any, Explanation]:
    """Return a record, another one of a model with two faults of these sizes, and why they differ."""
    recorded = stored(tied.generate("Hello", max_new_tokens=6))
    with blocks_shifted(tied.model, 1, block), tipped(tied.model.lm_head, Y, head):
        observed = tied.generate("Hello", max_new_tokens=6)
        return recorded, observed, ask(recorded, observed)


def test_rounding_that_turns_a_tie_is_a_near_tie_with_its_figures(tied: HFModel) -> None:
    recorded, _, found = replied(tied, head=4e-6)

    assert recorded.steps[0].margin == 0
    assert (found.verdict, found.cause) == ("near-tie", None)
    assert "rounding chose between two equally good tokens" in found.sentence
    figures = found.evidence[0].figures
    assert figures["margin"] == 0
    assert 0 < (figures["gap"] or 0) < 1e-5
    assert 0 < (figures["drift"] or 0) < FLOOR == figures["noise_floor"]
    assert "it is a near-tie: recorded by a margin of 0 " in all_said(found)


@pytest.mark.parametrize(
    ("block", "head", "named"),
    [
        (0.0, 1e-4, "head"),
        (0.0, 1e-2, "head"),
        (0.0, 10.0, "head"),
        (1e-4, 1e-6, "block 2 or final norm"),
        (10.0, 1e-6, "block 2 or final norm"),
    ],
)
def test_a_fault_that_turns_the_same_tie_is_none(tied: HFModel, block: float, head: float, named: str) -> None:
    recorded, observed, found = replied(tied, block, head)

    assert (found.verdict, found.cause, found.block) == ("changed", "forward", named)
    if block == 1e-4:  # up to the first token the numbers have hardly moved; what follows shows the fault
        assert compare(recorded, observed, Tolerance(1e-4)).verdict is Verdict.NEAR_TIE
    else:
        assert "it is not a near-tie" in all_said(found)


def test_another_token_than_the_two_that_were_tied_is_no_near_tie(
    tied: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded margin is none and no number has moved; yet what was chosen is far from both."""
    import torch

    recorded = stored(tied.generate("Hello", max_new_tokens=6))
    monkeypatch.setattr(torch, "argmax", lambda values, *_, **__: torch.topk(values, 4, dim=-1).indices[..., 3])

    found = ask(recorded, tied.generate("Hello", max_new_tokens=6))

    assert (found.verdict, found.cause) == ("changed", "search")


def test_beams_that_were_tied_are_changed_and_said_to_be_too_close_to_call(tied: HFModel) -> None:
    settings: dict[str, Any] = {"num_beams": 2, "max_new_tokens": 4}
    recorded = stored(tied.generate("Hello", **settings))

    for amount in (4e-6, -4e-6):
        with tipped(tied.model.lm_head, Y, amount):
            observed = tied.generate("Hello", **settings)
        if observed.ids != recorded.ids:
            with tipped(tied.model.lm_head, Y, amount):
                found = ask(recorded, observed)
            assert (found.verdict, found.cause) == ("changed", None)
            assert "a decision is too close to call" in found.sentence
            return
    pytest.fail("neither turned the tie")


def test_labels_that_were_tied(models: ModelCache, folder: Path) -> None:
    classifier = models.load(folder, task="text-classification")
    texts = [text for text in ("Hi", "Hello", "You", "Good", "Bad", "Yes") if _is_tied(classifier.classify(text))]
    assert texts, "no text has the two tied labels before the third"
    recorded = stored(classifier.classify(texts[0]))

    with tipped(classifier.model.score, 0, 4e-6):
        turned = ask(recorded, classifier.classify(texts[0]))
    with tipped(classifier.model.score, 0, 1e-3):
        moved = ask(recorded, classifier.classify(texts[0]))

    assert (turned.verdict, turned.cause) == ("near-tie", None)
    assert "rounding chose between two equally good readings" in turned.sentence
    assert (moved.verdict, moved.cause) == ("changed", "forward")


def _is_tied(record: ClassificationRecord) -> bool:
    first, second, third = record.logits[0]
    return first == second > third and (first > 0) == (second > 0)
