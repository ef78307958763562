"""Differences with two possible reasons: neither is named, unless an ablation or a rule proves it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.kinds.inputs import describe_media

from ..example_records import CHECKPOINT, generation, moved, provenance
from .asking import ask, bent, classify, generate, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, ModelCache

OTHER_RELEASE: dict[str, Any] = {"provenance": replace(provenance(), versions={"transformers": "4.36.2"})}
PROMPTS = ["Hello", "Hello, you there"]


@pytest.mark.parametrize("part", ["weights", "config", "tokenizer"])
@pytest.mark.parametrize("release", [{}, OTHER_RELEASE], ids=["same release", "other release"])
def test_changed_files_are_the_cause_only_in_the_same_release(part: str, release: dict[str, Any]) -> None:
    """Saving a checkpoint again with another release changes its files, often without a consequence."""
    recorded = generation(moved(0, by=1.0), checkpoint=replace(CHECKPOINT, **{part: "sha256:other"}), **release)
    observed = generation(text="other") if part == "tokenizer" else generation()
    if part == "tokenizer":
        recorded = generation(checkpoint=recorded.checkpoint, **release)

    found = ask(recorded, observed)

    assert found.cause == (None if release else f"checkpoint:{part}")
    assert (found.suggests != ()) is bool(release)
    assert ("transformers also changed version" in found.sentence) is bool(release)


def test_a_recorded_dtype_is_tried_beside_changed_files(models: ModelCache) -> None:
    record = generate(models.load("./model"))
    recorded = stored(replace(record, checkpoint=replace(record.checkpoint, config="sha256:other")))

    found = ask(recorded, generate(models.load("./model", dtype="bfloat16")))

    assert found.cause == "dtype"


def test_another_kind_of_record_may_come_from_a_changed_configuration(model: HFModel) -> None:
    """Whisper's generation_config.json decides whether a sound gives one window or several."""
    recorded = stored(generate(model))
    changed = replace(recorded, checkpoint=replace(recorded.checkpoint, config="sha256:other"))
    observed = model.generate(PROMPTS, max_new_tokens=3)

    assert [ask(one, observed).cause for one in (recorded, changed)] == ["test", None]


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"labels": np.array([[1, 2, 3]])}, {}),
        ({}, {"labels": np.array([[1, 2, 3]])}),
        ({"attention_mask": np.array([[1, 1, 0]])}, {}),
        ({"labels": np.array([[1, 2, 3]]), "gradients": True}, {"labels": np.array([[1, 2, 3]])}),
    ],
    ids=["labels left out", "labels added", "mask left out", "gradients left out"],
)
def test_what_observe_is_no_longer_given_is_the_test_s(model: HFModel, then: Any, now: Any) -> None:
    ids = np.array([[5, 6, 7]])

    found = ask(model.observe(input_ids=ids, **then), model.observe(input_ids=ids, **now))

    assert found.cause == "test"


@pytest.mark.parametrize("call", ["one prompt", "beams", "batch", "classify"])
def test_no_cause_is_named_if_a_hook_was_removed(call: str, model: HFModel, classifier: HFModel) -> None:
    if call == "classify":
        model = classifier
    calls: dict[str, Callable[[], Any]] = {
        "one prompt": lambda: generate(model),
        "beams": lambda: generate(model, num_beams=3),
        "batch": lambda: model.generate(PROMPTS, max_new_tokens=8),
        "classify": lambda: classify(model),
    }
    recorded = stored(calls[call]())
    block = model.model.transformer.h[0]
    hook = block.register_forward_hook(
        lambda _, __, output: (bent(output[0], 5.0), *output[1:]) if isinstance(output, tuple) else bent(output, 5.0)
    )
    observed = calls[call]()
    hook.remove()

    found = ask(recorded, observed)

    assert (found.cause, found.suggests) == (None, ())
    assert "no longer gives the numbers that it gave in the test" in found.sentence


def test_no_cause_is_named_under_autocast(model: HFModel) -> None:
    import torch

    recorded = stored(generate(model))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = ask(recorded, generate(model), tolerance=1e-6)

    assert found.cause is None
    assert "torch.autocast is on" in found.sentence


def test_other_ids_of_an_adopted_tokenizer_have_no_known_cause(models: ModelCache) -> None:
    """A snapshot keeps a digest of its vocabulary alone."""
    plain = models.load("./model")
    adopted = models.adopt(copy.deepcopy(plain.model), plain.tokenizer)
    record = generate(adopted)
    recorded = stored(replace(record, prompt=replace(record.prompt, ids=(5, 6))), tokenizers="0.1")

    found = ask(recorded, generate(adopted))

    assert found.cause is None
    assert "of an adopted tokenizer only the vocabulary" in found.sentence


def test_the_palette_belongs_to_an_image() -> None:
    image = pytest.importorskip("PIL.Image", reason="install pillow")
    first, second = (image.new("P", (4, 4)) for _ in range(2))
    second.putpalette([9, 8, 7] * 256)

    assert describe_media(first, "image") != describe_media(second, "image")
