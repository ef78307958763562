"""Configuration fields that the test sets at load: another value is the test's doing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.checkpoints.digests import overrides_text
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.snapshots import Tolerance, compare
from pytest_hfmodels.snapshots.format import dump, load

from .asking import across, ask, blocks_shifted, classify, generate, needs_sdpa, stored

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache


@pytest.mark.parametrize(
    ("call", "before", "now", "said"),
    [
        (generate, {}, {"layer_norm_epsilon": 0.5}, "layer_norm_epsilon: (not set) -> 0.5"),
        (generate, {"layer_norm_epsilon": 0.5}, {}, "layer_norm_epsilon: 0.5 -> (not set)"),
        (generate, {"layer_norm_epsilon": 0.5}, {"layer_norm_epsilon": 0.7}, "layer_norm_epsilon: 0.5 -> 0.7"),
        (
            generate,
            {},
            {"layer_norm_epsilon": 0.5, "activation_function": "relu"},
            'activation_function: (not set) -> "relu", layer_norm_epsilon: (not set) -> 0.5',
        ),
        (generate, {}, {"layer_norm_epsilon": 0.5, "dtype": "bfloat16"}, "layer_norm_epsilon: (not set) -> 0.5"),
        pytest.param(
            *(generate, {}, {"layer_norm_epsilon": 0.5, "attention": "sdpa"}, "layer_norm_epsilon: (not set) -> 0.5"),
            marks=needs_sdpa,
        ),
        (classify, {}, {"layer_norm_epsilon": 0.5}, "layer_norm_epsilon: (not set) -> 0.5"),
        (classify, {}, {"id2label": {0: "x", 1: "y", 2: "z"}}, "id2label: (not set) -> "),
        (classify, {}, {"pad_token_id": 1}, "pad_token_id: 0 -> 1"),
    ],
)
def test_a_field_that_the_test_sets(models: ModelCache, call: Any, before: Any, now: Any, said: str) -> None:
    found = across(models, before, now, call, release="4.49.0")

    assert (found.cause, found.suggests) == ("test", ())
    assert f"at load: {said}" in found.sentence
    if call is generate:
        assert found.ablations[-1].returns


def test_a_file_of_an_earlier_version_keeps_no_fields(models: ModelCache) -> None:
    model = models.load("./model", layer_norm_epsilon=0.5)
    record = generate(model)
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, overrides="")))
    with blocks_shifted(model.model, 1, 0.1):
        assert ask(recorded, generate(model)).cause == "forward"

    assert not compare(recorded, generate(model), Tolerance(1e-4)).differences


def test_a_field_and_a_fault_at_once(models: ModelCache) -> None:
    recorded = stored(generate(models.load("./model", layer_norm_epsilon=0.5)))
    model = models.load("./model", layer_norm_epsilon=0.7)
    with blocks_shifted(model.model, 1, 0.1):
        found = ask(recorded, generate(model))

    assert found.cause is None
    assert "so something else has changed" in found.sentence


def test_a_snapshot_keeps_the_fields_only_if_there_are_any(models: ModelCache) -> None:
    plain, other = generate(models.load("./model")), generate(models.load("./model", layer_norm_epsilon=0.5))

    assert "overrides" not in dump(plain)
    assert stored(other).checkpoint == other.checkpoint
    assert compare(stored(plain), other, Tolerance(1e-4)).notes == (
        'the test\'s overrides of the configuration: none recorded -> {"layer_norm_epsilon": 0.5}',
    )
    with pytest.raises(SnapshotError, match=r"checkpoint\.overrides: it is not a JSON object"):
        load(dump(replace(other, checkpoint=replace(other.checkpoint, overrides="[1"))), Path("a.toml"))


def test_fields_become_the_same_text_in_any_order() -> None:
    assert overrides_text({}) == ""
    assert overrides_text({"b": {0: "x", "1": None}, "a": object()}) == '{"a": "object", "b": {"0": "x", "1": null}}'
