from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_hfmodels import EngineError, ModelCache
from pytest_hfmodels.engines import upstream

from ..surroundings import needs_both_engines
from ..tiny_gpt2 import tiny_weights, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_both_engines


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder of its own."""
    del models
    return ModelCache(tmp_path, with_tensorflow=True)


@pytest.mark.skipif(
    not upstream.release_at_least("4.54") or upstream.release_at_least("5"),
    reason="install transformers>=4.54,<5: older releases load torch-format safetensors in TensorFlow",
)
def test_upstreams_own_loading_is_broken(models: ModelCache, tiny_gpt2: Path) -> None:
    del models
    from transformers import TFGPT2LMHeadModel

    with pytest.raises(TypeError, match=r"'builtins.safe_open' object is not iterable"):
        TFGPT2LMHeadModel.from_pretrained(str(tiny_gpt2))


def test_weights_arrive_as_they_are_stored(models: ModelCache) -> None:
    handle = models.load("./model", engine="tensorflow")
    stored = tiny_weights()

    found = {variable.name: variable.numpy() for variable in handle.model.weights}

    for name, array in found.items():
        if name.endswith("wte/weight:0"):
            np.testing.assert_array_equal(array, stored["transformer.wte.weight"])
        if name.endswith("h_._1/mlp/c_fc/weight:0"):
            np.testing.assert_array_equal(array, stored["transformer.h.1.mlp.c_fc.weight"])
    assert len(found) == len(stored) - 1


def test_an_architecture_that_tensorflow_lacks_is_named(cache: ModelCache, tmp_path: Path) -> None:
    neox = {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]}
    small = {"num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64, "vocab_size": 48}
    write_checkpoint(tmp_path / "neox", config={**neox, **small, "num_hidden_layers": 1})

    with pytest.raises(EngineError, match=r"transformers has no TensorFlow model for .*neox") as raised:
        cache.load("./neox", engine="tensorflow")

    assert 'engines=["torch"]' in raised.value.hint
    write_checkpoint(tmp_path / "strange", config={"model_type": "no-such-model", "architectures": None})
    with pytest.raises(EngineError, match=r"strange is a .*\('no-such-model'\), which transformers"):
        cache.load("./strange", engine="tensorflow")


def test_other_dtypes_are_torch_s(models: ModelCache) -> None:
    with pytest.raises(EngineError, match=r"The tensorflow engine runs in float32, and .* was asked for in float64"):
        models.load("./model", engine="tensorflow", dtype="float64")


def test_a_loss_is_the_mean_over_the_batch(models: ModelCache) -> None:
    classifier = models.load("./model", engine="tensorflow", task="text-classification", pad_token_id=256)

    both = classifier.classify(["Hi", "Yo"], labels=[0, 2]).loss
    apart = [classifier.classify(text, labels=[label]).loss for text, label in (("Hi", 0), ("Yo", 2))]

    assert both is not None
    assert both.value == pytest.approx(np.mean([loss.value for loss in apart if loss]), abs=1e-5)


def test_weights_that_do_not_fit_are_an_error_of_the_checkpoint(models: ModelCache) -> None:
    with pytest.raises(EngineError, match=r"cannot load .*model for text-generation with tensorflow") as raised:
        models.load("./model", engine="tensorflow", n_inner=77)

    assert "config.json" in raised.value.hint


def test_transformer_xl_is_upstreams_also_after_ours_is_registered(models: ModelCache) -> None:
    pytest.importorskip("sacremoses")
    torchs = models.load("tiny-transfo-xl", task="text-classification", pad_token_id=0)

    classifier = models.load("tiny-transfo-xl", engine="tensorflow", task="text-classification", pad_token_id=0)

    texts = ["My name is Hasnain", "I was going with my dog to the park."]
    assert classifier.loaded.implementation == "transformers"
    np.testing.assert_allclose(classifier.classify(texts).logits, torchs.classify(texts).logits, atol=1e-4)


def test_transformer_xl_says_that_it_cannot_generate(models: ModelCache) -> None:
    pytest.importorskip("sacremoses")
    model = models.load("tiny-transfo-xl", engine="tensorflow")

    assert model.forward([[16, 42]]).logits.shape == (1, 2, 1000)
    with pytest.raises(EngineError, match="transfo-xl model cannot generate with tensorflow") as raised:
        model.generate("My name is", max_new_tokens=1)

    assert 'engines=["torch"]' in raised.value.hint


def test_a_changed_attribute_of_a_layer_is_named(models: ModelCache, tiny_gpt2: Path) -> None:
    del models
    cache = ModelCache(tiny_gpt2.parent, with_tensorflow=True)
    handle = cache.load("./model", engine="tensorflow")
    norm = next(layer for layer in handle.model.submodules if layer.name == "ln_f")

    handle.generate("Hi", max_new_tokens=2, num_beams=2)
    norm.epsilon = 0.5

    [(_, [said])] = cache.dirty()
    assert said.startswith("attribute epsilon of layer ")
    assert said.endswith(" (ln_f): 1e-05 -> 0.5")


def test_a_metric_that_keras_adds_in_a_call_is_not_a_change(models: ModelCache) -> None:
    model = models.load("tiny-transfo-xl", engine="tensorflow")
    before = model.loaded.modes()

    model.model({"input_ids": np.asarray([[1, 2, 3]])}, labels=np.asarray([[1, 2, 3]]))

    assert [metric.name for metric in model.model.metrics] == ["crit"]
    assert model.loaded.modes() == before
