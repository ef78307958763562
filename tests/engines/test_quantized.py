"""Quantized models: loaded by their configuration, or adopted, and never taken for something else."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import HFModelsError, ModelCache

from ..other_checkpoints import edit_json, save_model

if TYPE_CHECKING:
    from pathlib import Path

    import torch
else:
    torch = pytest.importorskip("torch")


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder with a Llama in `./bot`."""
    del models
    save_model(tmp_path / "bot", "LlamaForCausalLM", num_key_value_heads=2)
    return ModelCache(tmp_path)


def quantize(folder: Path, **how: Any) -> None:
    edit_json(folder / "config.json", quantization_config=how)


def test_a_quantization_that_its_configuration_names_is_loaded(cache: ModelCache, tmp_path: Path) -> None:
    pytest.importorskip("optimum.quanto", reason="needs optimum-quanto: pip install optimum-quanto")
    plain = cache.load("./bot").forward([[5, 6, 7]]).logits
    quantize(tmp_path / "bot", quant_method="quanto", weights="int8")

    bot = cache.load("./bot")
    logits = bot.forward([[5, 6, 7]]).logits

    assert "QLinear" in {type(module).__name__ for module in bot.model.modules()}
    assert 0 < abs(logits - plain).max() < 0.1
    record = bot.generate("Hi", max_new_tokens=3)
    assert record.provenance.versions["optimum-quanto"]
    assert list(cache.dirty(weights=True)) == []


@pytest.mark.parametrize(
    ("how", "said", "hint"),
    [
        ({"quant_method": "gptq", "bits": 4}, "'gptq'", "Install the library that it names."),
        ({"quant_method": "compressed-tensors", "format": "int-quantized"}, "compressed", ""),
        ({"quant_method": "no-such-method"}, "'no-such-method'", "hf_models.adopt"),
    ],
)
def test_a_quantization_that_cannot_be_had_is_said(
    cache: ModelCache, tmp_path: Path, how: dict[str, Any], said: str, hint: str
) -> None:
    quantize(tmp_path / "bot", **how)

    with pytest.raises(HFModelsError) as raised:
        cache.load("./bot")

    assert said in raised.value.message
    assert hint in raised.value.hint


def test_eight_bit_floats_without_a_quantization_are_refused(cache: ModelCache, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = tmp_path / "bot" / "model.safetensors"
    weights = {name: value.to(torch.float8_e4m3fn) for name, value in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})

    with pytest.raises(HFModelsError, match="as F8_E4M3, but weights must be"):
        cache.load("./bot")


@pytest.mark.parametrize("way", ["quanto", "dynamic"])
def test_a_quantized_model_can_be_adopted_and_its_weights_are_watched(cache: ModelCache, way: str) -> None:
    bot = cache.load("./bot", attention="sdpa")
    model, tokenizer = bot.model, bot.tokenizer
    if way == "quanto":
        quanto = pytest.importorskip("optimum.quanto", reason="needs optimum-quanto: pip install optimum-quanto")
        quanto.quantize(model, weights=quanto.qint8)
        quanto.freeze(model)
    else:  # its state dict holds dtypes beside tensors
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces its end
            ao: Any = torch.ao.quantization
            model = ao.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)

    first = cache.adopt(model, tokenizer, name="quantized")
    before = first.checkpoint.digests.weights
    assert first.generate("Hi", max_new_tokens=2).ids
    with torch.no_grad():
        model.model.norm.weight.mul_(2)

    assert cache.adopt(model, tokenizer, name="quantized").checkpoint.digests.weights != before
