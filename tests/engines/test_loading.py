"""What every engine does alike when it loads a checkpoint."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import CheckpointError, ModelCache
from pytest_hfmodels.engines import usable
from pytest_hfmodels.engines.availability import need_tensorflow

from ..tiny_gpt2 import tiny_weights, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")
every_engine = pytest.mark.parametrize("engine", usable())
CLASSIFIER: dict[str, Any] = {"task": "text-classification"}


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder of its own."""
    del models
    return ModelCache(tmp_path, with_tensorflow=need_tensorflow(usable()))


@every_engine
@pytest.mark.parametrize("labels", [2, 5])
def test_another_number_of_labels_names_both_shapes(models: ModelCache, engine: str, labels: int) -> None:
    with pytest.raises(CheckpointError) as raised:
        models.load("./model", engine=engine, num_labels=labels, **CLASSIFIER)

    assert f"score.weight (expected [{labels}, 32], found [3, 32])" in raised.value.message
    assert 'head="fixed"' in raised.value.hint


def test_a_fixed_head_has_the_same_numbers_everywhere(models: ModelCache, cache: ModelCache, tmp_path: Path) -> None:
    weights = tiny_weights()
    del weights["score.weight"]
    write_checkpoint(tmp_path / "headless", weights=weights)

    logits = [
        some.load(name, engine=engine, head="fixed", num_labels=4, **CLASSIFIER).classify("Hi").logits
        for some, name in ((models, "./model"), (cache, "./headless"))
        for engine in usable()
    ]

    for other in logits[1:]:
        np.testing.assert_allclose(logits[0], other, atol=1e-4)
    assert np.abs(logits[0]).max() > 1e-3


@every_engine
def test_a_head_that_the_checkpoint_lacks_is_named(cache: ModelCache, tmp_path: Path, engine: str) -> None:
    weights = tiny_weights()
    del weights["score.weight"]
    write_checkpoint(tmp_path / "headless", weights=weights)

    with pytest.raises(CheckpointError, match=r"lacks weights that the model needs: .*score") as raised:
        cache.load("./headless", engine=engine, **CLASSIFIER)

    assert 'head="fixed"' in raised.value.hint


@every_engine
@pytest.mark.parametrize("arguments", [{}, {**CLASSIFIER, "head": "fixed"}], ids=["model", "classifier"])
def test_a_block_that_the_checkpoint_lacks_is_never_filled_in(
    cache: ModelCache, tmp_path: Path, engine: str, arguments: dict[str, Any]
) -> None:
    weights = {name: array for name, array in tiny_weights().items() if ".h.1.mlp" not in name}
    write_checkpoint(tmp_path / "damaged", weights=weights)

    with pytest.raises(CheckpointError, match="lacks weights that the model needs"):
        cache.load("./damaged", engine=engine, **arguments)


@every_engine
def test_global_state_is_as_before(cache: ModelCache, tmp_path: Path, engine: str) -> None:
    write_checkpoint(tmp_path / "model")
    before, drawn = global_state(), _drawn(engine)

    cache.load("./model", engine=engine).generate("Hi", max_new_tokens=2, num_beams=2)
    cache.load("./model", engine=engine, pin=False).forward([[1, 2]])
    cache.load("./model", engine=engine, head="fixed", num_labels=5, **CLASSIFIER).classify("Hi", labels=[4])

    after = global_state()
    assert {name for name in before if before[name] != after[name]} == set()
    assert next(drawn) == next(drawn)


def _drawn(engine: str) -> Any:
    """Yield the number that TensorFlow would draw after a first one, then the number that it draws now."""
    if engine != "tensorflow":
        yield from (0, 0)
        return
    import tensorflow as tf

    tf.random.set_seed(7)
    expected = [float(tf.random.uniform(())) for _ in range(2)]
    tf.random.set_seed(7)
    assert float(tf.random.uniform(())) == expected[0]
    yield expected[1]
    yield float(tf.random.uniform(()))


def global_state() -> dict[str, Any]:
    from transformers.utils import logging

    return {
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "grad": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "environment": dict(os.environ),
        "verbosity": logging.get_verbosity(),
        "progress bars": logging.is_progress_bar_enabled(),
    }


@every_engine
def test_a_pad_token_given_at_load_pads_without_a_word(
    models: ModelCache, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], engine: str
) -> None:
    handle = models.load("./model", engine=engine, pad_token_id=5)
    capfd.readouterr()

    record = handle.generate("Hi", max_new_tokens=1)

    assert handle.config.pad_token_id == record.effective["pad_token_id"] == 5
    assert "pad_token_id" not in caplog.text + "".join(capfd.readouterr())
