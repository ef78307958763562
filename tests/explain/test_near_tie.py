"""A model with a known tie: rounding turns it, and nothing larger may hide behind it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.snapshots import NOISE_FLOOR, Tolerance, Verdict, compare

from ..tiny_gpt2 import tiny_weights, write_checkpoint
from .asking import ask, blocks_shifted, stored, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
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


def test_rounding_that_turns_a_tie_is_a_near_tie_with_its_figures(tied: HFModel) -> None:
    recorded = stored(tied.generate("Hello", max_new_tokens=6))
    assert recorded.steps[0].margin == 0

    with tipped(tied.model.lm_head, Y, 4e-6):
        found = ask(recorded, tied.generate("Hello", max_new_tokens=6))

    assert (found.verdict, found.cause) == ("near-tie", None)
    assert "rounding chose between two equally good tokens" in found.sentence
    figures = found.evidence[0].figures
    assert figures["margin"] == 0
    assert 0 < (figures["gap"] or 0) < 1e-5
    assert 0 < (figures["drift"] or 0) < FLOOR == figures["noise_floor"]
    assert "it is a near-tie: recorded by a margin of 0 " in told(found)


@pytest.mark.parametrize("amount", [1e-4, 1e-2, 10.0])
def test_a_fault_that_turns_the_same_tie_is_none(tied: HFModel, amount: float) -> None:
    recorded = stored(tied.generate("Hello", max_new_tokens=6))

    with tipped(tied.model.lm_head, Y, amount):
        found = ask(recorded, tied.generate("Hello", max_new_tokens=6))

    assert (found.verdict, found.cause, found.block) == ("changed", "forward", "head")
    assert "it is no near-tie" in told(found)


@pytest.mark.parametrize("amount", [1e-4, 10.0])
def test_a_fault_in_a_block_is_none_either(tied: HFModel, amount: float) -> None:
    recorded = stored(tied.generate("Hello", max_new_tokens=6))

    with blocks_shifted(tied.model, 1, amount), tipped(tied.model.lm_head, Y, 1e-6):
        found = ask(recorded, tied.generate("Hello", max_new_tokens=6))

    assert (found.verdict, found.cause) == ("changed", "forward")


def test_another_token_than_the_two_that_were_tied_is_no_near_tie(
    tied: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorded margin is none and no number has moved; yet what was chosen is far from both."""
    import torch

    recorded = stored(tied.generate("Hello", max_new_tokens=6))
    argmax = torch.argmax

    def fourth(values: Any, *arguments: Any, **keywords: Any) -> Any:
        if values.ndim == 2 and values.shape[-1] == 257:
            return torch.topk(values, 4, dim=-1).indices[..., 3]
        return argmax(values, *arguments, **keywords)

    monkeypatch.setattr(torch, "argmax", fourth)

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


def test_what_follows_a_tie_may_say_that_more_than_rounding_is_at_work(tied: HFModel) -> None:
    """Up to the divergence, the first token, the numbers have hardly moved; after it they have."""
    recorded = stored(tied.generate("Hello", max_new_tokens=6))

    with blocks_shifted(tied.model, 1, 1e-4), tipped(tied.model.lm_head, Y, 1e-6):
        observed = tied.generate("Hello", max_new_tokens=6)
        found = ask(recorded, observed)

    assert compare(recorded, observed, Tolerance(1e-4)).verdict is Verdict.NEAR_TIE
    assert (found.verdict, found.cause, found.block) == ("changed", "forward", "block 2")
