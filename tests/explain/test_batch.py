"""Batches: the row that differs is explained; its neighbours are the reason only if the prompt alone is as recorded."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.kinds.tolerance import Tolerance

from .asking import BEAMS, after, all_said, ask, blocks_shifted, searches, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.kinds import BatchRecord

PROMPTS = ["Hello", "Hi", "Good day to you"]


def batch(model: HFModel, **settings: Any) -> BatchRecord:
    return model.generate(PROMPTS, **{"max_new_tokens": 8, **settings})


def padding_unseen(model: HFModel, patch: pytest.MonkeyPatch) -> None:
    """Let `generate` forget which tokens are padding, as a release that loses the mask does."""
    kind = type(model.model)
    original = kind.forward

    @wraps(original)
    def forgetful(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if keywords.get("position_ids") is not None:  # only `generate` gives them
            keywords = {**keywords, "attention_mask": None, "position_ids": None}
        return original(self, *arguments, **keywords)

    patch.setattr(kind, "forward", forgetful)


@searches
def test_padding_that_the_model_sees_is_blamed_on_the_neighbours(model: HFModel, settings: dict[str, Any]) -> None:
    found = after(padding_unseen, model, batch, **settings)

    assert found.cause == "forward"
    assert found.sentence.startswith("row 1: the other rows of the batch change this one: on its own it gives the rec")
    assert "differ, too" in all_said(found)


def test_a_new_batch_that_differs_from_its_prompts_alone_contradicts_itself(model: HFModel) -> None:
    kind, plain = kind_of(batch(model)), batch(model)
    assert kind.contradiction(plain, Tolerance(1e-4)) is None

    with pytest.MonkeyPatch.context() as patch:
        padding_unseen(model, patch)
        said = kind.contradiction(batch(model), Tolerance(1e-4))

    assert said is not None
    assert said.startswith("row 1: in the batch the model works differently than for this prompt alone")


@searches
def test_a_fault_of_the_forward_pass_is_found_in_its_block(model: HFModel, settings: dict[str, Any]) -> None:
    recorded = stored(batch(model, **settings))
    with blocks_shifted(model.model, 1, 0.1):
        found = ask(recorded, batch(model, **settings))

    assert (found.cause, found.block) == ("forward", "block 2 or final norm")
    assert "the forward pass differs, starting at block 2 or the final norm" in found.sentence
    assert "on its own this prompt gives the same tokens and scores" in all_said(found)


@searches
def test_so_it_is_by_the_fingerprints_of_all_rows(
    model: HFModel, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(model.loaded), "_logits", lambda *_: None)
        record = batch(model, **settings)
    assert record.fingerprinted is None

    with blocks_shifted(model.model, 1, 0.1):
        found = ask(stored(record), batch(model, **settings))

    assert (found.cause, found.block) == ("forward", "block 2 or final norm")


def test_other_weights_and_other_settings_are_named(
    model: HFModel, models: ModelCache, other: Callable[..., Path]
) -> None:
    recorded = stored(batch(model))

    assert ask(recorded, batch(models.load(other(weights=1.5)))).cause == "checkpoint:weights"
    for settings in ({"max_new_tokens": 7}, {"num_beams": 2}, {"min_new_tokens": 2}):
        found = ask(recorded, batch(model, **settings))
        assert found.cause == "test", (settings, found)


def test_other_prompts_are_the_tests_own(model: HFModel) -> None:
    recorded = stored(batch(model))

    for prompts in (PROMPTS[:2], [*PROMPTS[:2], "Bye"]):
        found = ask(recorded, model.generate(prompts, max_new_tokens=8))
        assert (found.cause, found.verdict) == ("test", "changed")


def test_a_search_that_picks_the_second_best_is_found(model: HFModel) -> None:
    import torch

    def second(_: HFModel, patch: pytest.MonkeyPatch) -> None:
        original = torch.argmax

        def worse(values: Any, *arguments: Any, **keywords: Any) -> Any:
            if values.ndim != 2 or values.shape[-1] != 257:
                return original(values, *arguments, **keywords)
            return torch.topk(values, 2, dim=-1).indices[..., 1]

        patch.setattr(torch, "argmax", worse)

    found = after(second, model, batch)

    assert found.cause == "search"
    assert found.sentence.startswith("row 1: ")


def test_one_row_of_other_beams_is_told_from_the_others(model: HFModel) -> None:
    from dataclasses import replace

    record = batch(model, **BEAMS)
    rows = list(record.rows)
    rows[1] = replace(rows[1], beams=rows[1].beams[::-1], steps=rows[1].steps)
    found = ask(stored(record), replace(record, rows=tuple(rows)))

    assert found.sentence.startswith("row 2: ")
    assert found.cause is None or found.cause == "search"
