from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings

from pytest_hfmodels.properties.forward import (
    Reading,
    check_cache,
    check_causality,
    check_padding,
    counted_positions,
    difference,
    readings,
    run_forward,
)

from ..surroundings import needs_both_engines
from .shrinking import smallest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.properties.forward import ForwardDifference

IDS = [[7, 3, 9, 4], [5, 5, 2, 8]]


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture
def faulty(bot: HFModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], HFModel]:
    """Make upstream's logits what a function of them and of the call's arguments says."""

    def patched(moved: Callable[[Any, dict[str, Any]], Any]) -> HFModel:
        plain = type(bot.model).forward

        @functools.wraps(plain)
        def forward(self: Any, **given: Any) -> Any:
            # A cache is written into during the call: look at what it holds before.
            seen = {**given, "cached": _cached(given.get("past_key_values"))}
            output = plain(self, **given)
            output.logits = moved(output.logits, seen)
            return output

        monkeypatch.setattr(type(bot.model), "forward", forward)
        return bot

    return patched


def _cached(past: Any) -> int:
    if past is None:
        return 0
    return int(past.get_seq_length() if hasattr(past, "get_seq_length") else past[0][0].shape[-2])


def raised(logits: Any, token: int) -> Any:
    logits = logits.clone()
    logits[..., token] += 1
    return logits


def replayed(found: ForwardDifference | None, hf_model: HFModel) -> object:
    assert found is not None
    names = {check.__name__: check for check in (check_cache, check_padding, check_causality)}
    return eval(found.replay, {**names, "hf_model": hf_model})


def test_a_correct_model_passes(bot: HFModel) -> None:
    assert check_cache(bot, IDS, cuts=[1, 3]) is None
    assert check_cache(bot, IDS, [[0, 0, 1, 1], [1] * 4], cuts=range(1, 4)) is None
    assert check_padding(bot, [[7, 3, 9], [5], [2, 8]], padding=6) is None
    assert check_padding(bot, [[7, 3, 9], [5], [2, 8]], side="right") is None
    assert check_causality(bot, IDS, position=2) is None


@needs_both_engines
def test_a_correct_tensorflow_model_passes(models: ModelCache) -> None:
    bot = models.load("./model", engine="tensorflow")

    assert check_cache(bot, IDS, [[0, 0, 1, 1], [1] * 4], cuts=[1, 3]) is None
    assert check_padding(bot, [[7, 3, 9], [5]], padding=6) is None
    assert check_causality(bot, IDS, position=2) is None


def test_a_fault_after_a_cache_is_found_and_replayed(faulty: Callable[..., HFModel]) -> None:
    bot = faulty(lambda logits, given: raised(logits, 11) if given["cached"] else logits)

    found = check_cache(bot, IDS, cuts=[2])

    assert found is not None
    assert (found.text[:2], found.token) in [((7, 3), 11), ((5, 5), 11)]
    assert len(found.text) > 2
    assert found.found == pytest.approx(found.expected + 1, abs=1e-4)
    lines = str(found).splitlines()
    assert lines[0].startswith(f"after {list(found.text)} the logit of token 11 is ")
    assert "when it is read in pieces, cut at [2], and read at once it is" in lines[0]
    assert lines[1] == "again: check_cache(hf_model, [[7, 3, 9, 4], [5, 5, 2, 8]], cuts=[2])"
    assert replayed(found, bot) == found


def test_a_fault_of_padding_is_found_and_replayed(faulty: Callable[..., HFModel]) -> None:
    def padded(logits: Any, given: dict[str, Any]) -> Any:
        mask = given.get("attention_mask")
        return raised(logits, 11) if mask is not None and not mask.bool().all() else logits

    bot = faulty(padded)

    found = check_padding(bot, [[7, 3], [5]])

    assert found is not None
    assert "in a batch padded on the left, and alone it is" in str(found)
    assert replayed(found, bot) == found


def test_a_look_ahead_is_found_and_replayed(faulty: Callable[..., HFModel]) -> None:
    bot = faulty(lambda logits, given: logits + given["input_ids"].double().mean())

    found = check_causality(bot, IDS, position=3)

    assert found is not None
    assert len(found.text) <= 3
    assert "with other tokens from 3 on" in str(found)
    assert replayed(found, bot) == found


def test_a_fault_shrinks_to_one_short_text(faulty: Callable[..., HFModel]) -> None:
    bot = faulty(lambda logits, given: raised(logits, 11) if given["cached"] > 1 else logits)

    def wrong(reading: Reading) -> bool:
        return check_cache(bot, reading.ids, reading.mask, cuts=reading.cuts) is not None

    found = smallest(readings(20), wrong, examples=60)

    assert (found.ids, found.mask) == ([[0, 0, 0]], [[1, 1, 1]])


@settings(max_examples=100, deadline=None)
@given(reading=readings(9, longest=6, batch=3))
def test_drawn_readings_are_valid(reading: Reading) -> None:
    length = len(reading.ids[0])

    assert 2 <= length <= 6
    assert len(reading.ids) == len(reading.mask) <= 3
    assert all(len(row) == length and set(row) <= set(range(9)) for row in reading.ids)
    assert reading.mask[0] == [1] * length
    assert all(row == sorted(row) and row[-1] == 1 for row in reading.mask)
    assert reading.cuts == sorted(set(reading.cuts))
    assert 1 <= reading.cuts[0] <= reading.cuts[-1] < length


def test_positions_count_tokens_that_are_not_padding() -> None:
    assert counted_positions(np.array([[0, 0, 1, 1], [1, 1, 1, 0]])).tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]


def test_logits_of_padding_are_ignored() -> None:
    expected = np.zeros((1, 2, 3))
    found = expected.copy()
    found[0, 0, 1] = 5
    ids = np.array([[4, 6]])

    assert difference(found, expected, ids, np.array([[0, 1]]), "", 1e-3) is None
    told = difference(found, expected, ids, None, "where it should be", 1e-3)
    assert str(told) == "after [4] the logit of token 1 is 5 where it should be 0"


def test_nan_is_a_difference() -> None:
    found = np.array([[[0.0, np.nan]]])

    assert difference(found, np.zeros((1, 1, 2)), np.array([[4]]), None, "", 1.0) is not None


def test_the_tolerance_is_relative_to_the_largest_logit() -> None:
    expected, ids = np.array([[[1000.0, 0.0]]], np.float64), np.array([[4]])

    assert difference(expected + 0.5, expected, ids, None, "", 1e-3) is None
    assert difference(expected + 5, expected, ids, None, "", 1e-3) is not None


def test_a_forward_pass_leaves_the_model_as_it_was(bot: HFModel) -> None:
    import torch

    before = torch.get_num_threads()
    bot.model.train()
    try:
        first, second = (run_forward(bot, input_ids=np.array(IDS)).logits for _ in range(2))

        assert bot.model.training
    finally:
        bot.model.eval()
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert torch.get_num_threads() == before
