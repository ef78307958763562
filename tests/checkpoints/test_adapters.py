"""Adapter folders on the marker: which base, which digests, and what is refused."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import EngineError, HFModelsError, ModelCache
from pytest_hfmodels.checkpoints import fill_adapter_copy

from ..other_checkpoints import edit_json
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "base",
    "r": 2,
    "lora_alpha": 8,
    "target_modules": ["c_attn"],
    "fan_in_fan_out": True,
    "bias": "none",
}


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder with a checkpoint in `./base`."""
    del models
    write_checkpoint(tmp_path / "base")
    return ModelCache(tmp_path)


def write_adapter(folder: Path, *, scale: float = 0.3, head: int | None = None, **config: Any) -> Path:
    """Write a LoRA of the tiny GPT-2, with drawn weights by PEFT's names."""
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    random, weights = np.random.Generator(np.random.PCG64(3)), {}
    for block in range(2):
        for part, shape in (("lora_A", (2, 32)), ("lora_B", (96, 2))):
            name = f"base_model.model.transformer.h.{block}.attn.c_attn.{part}.weight"
            weights[name] = (scale * random.standard_normal(shape)).astype(np.float32)
    if head is not None:
        weights["base_model.model.score.weight"] = random.standard_normal((head, 32)).astype(np.float32)
    save_file(weights, folder / "adapter_model.safetensors")
    return folder


def _peft() -> Any:
    return pytest.importorskip("peft", reason="adapters need PEFT: pip install peft")


def test_an_adapter_runs_on_the_base_that_it_names(cache: ModelCache, tmp_path: Path) -> None:
    _peft()
    write_adapter(tmp_path / "bot")
    base, bot = cache.load("./base"), cache.load("./bot")

    here, there = (handle.forward([[72, 105]]).logits for handle in (bot, base))
    by_hand = merged(tmp_path)

    assert (bot.task, bot.checkpoint.name, bot.checkpoint.origin) == ("text-generation", "./bot", "local")
    assert np.abs(here - there).max() > 0.01
    np.testing.assert_allclose(here, cache.load(by_hand).forward([[72, 105]]).logits, atol=1e-4)
    assert bot.generate("Hi", max_new_tokens=3).provenance.versions["peft"]
    assert "peft" not in base.generate("Hi", max_new_tokens=3).provenance.versions
    assert list(cache.dirty(weights=True)) == []


def merged(root: Path) -> Path:
    """Write the base with the adapter's products added to its weights."""
    from safetensors.numpy import load_file

    from ..tiny_gpt2 import tiny_weights

    weights, adapter = tiny_weights(), load_file(root / "bot" / "adapter_model.safetensors")
    for block in range(2):
        name = f"transformer.h.{block}.attn.c_attn"
        down, up = (adapter[f"base_model.model.{name}.{part}.weight"] for part in ("lora_A", "lora_B"))
        weights[f"{name}.weight"] += (CONFIG["lora_alpha"] / CONFIG["r"]) * (up @ down).T  # type: ignore[operator]
    return write_checkpoint(root / "merged", weights=weights)


def test_a_classifier_s_head_comes_with_the_adapter(cache: ModelCache, tmp_path: Path) -> None:
    _peft()
    write_adapter(tmp_path / "triage", head=5, task_type="SEQ_CLS", modules_to_save=["classifier", "score"])

    handle = cache.load("./triage", num_labels=5, pad_token_id=0)

    assert handle.task == "text-classification"
    assert len(handle.classify("Hi").logits[0]) == 5


def test_digests_tell_which_part_has_changed(cache: ModelCache, tmp_path: Path) -> None:
    def digests() -> Any:
        return cache._resolve(("./bot", None, None)).digests

    write_adapter(tmp_path / "bot")
    first, base = digests(), cache._resolve(("./base", None, None)).digests
    write_adapter(tmp_path / "bot", scale=0.4)
    weights = digests()
    write_adapter(tmp_path / "bot", scale=0.4, lora_alpha=9)
    config = digests()
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        (tmp_path / "bot" / name).write_bytes((tmp_path / "base" / name).read_bytes())
    edit_json(tmp_path / "bot" / "tokenizer_config.json", chat_template="{{ messages }}")
    tokenizer = digests()

    assert first.weights not in (base.weights, weights.weights)
    assert (weights.weights, weights.config != config.config) == (config.weights, True)
    assert (tokenizer.weights, tokenizer.config) == (config.weights, config.config)
    assert tokenizer.tokenizer != config.tokenizer == base.tokenizer
    assert bool(tokenizer.chat_template) > bool(config.chat_template)


@pytest.mark.parametrize(
    ("config", "said", "hint"),
    [
        ({"base_model_name_or_path": "/no/such/base"}, "base '/no/such/base' cannot be found", "base_model_name"),
        ({"base_model_name_or_path": "org/base"}, "nothing pins its revision", '"revision"'),
        ({"base_model_name_or_path": ""}, "names no base model", "base_model_name_or_path"),
        ({"peft_type": "XLORA"}, "an adapter of kind 'XLORA'", "hf_models.adopt"),
        ({"base_model_name_or_path": "./bot"}, "another adapter", "beneath both"),
    ],
)
def test_an_adapter_without_its_base_is_refused(
    cache: ModelCache, tmp_path: Path, config: dict[str, Any], said: str, hint: str
) -> None:
    write_adapter(tmp_path / "bot", **config)
    write_adapter(tmp_path / "other")
    if config.get("base_model_name_or_path") == "./bot":
        edit_json(tmp_path / "bot" / "adapter_config.json", base_model_name_or_path="./other")

    with pytest.raises(HFModelsError) as raised:
        cache.load("./bot")

    assert said in raised.value.message
    assert hint in raised.value.hint


def test_an_adapter_of_another_model_is_refused(cache: ModelCache, tmp_path: Path) -> None:
    _peft()
    from safetensors.numpy import load_file, save_file

    file = write_adapter(tmp_path / "bot") / "adapter_model.safetensors"
    save_file({name.replace("h.1", "h.7"): value for name, value in load_file(file).items()}, file)

    with pytest.raises(HFModelsError, match=r"adapter .*bot does not fit its base: .*h\.1\.attn"):
        cache.load("./bot")


def test_a_missing_peft_is_named(cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_adapter(tmp_path / "bot")
    monkeypatch.setitem(sys.modules, "peft", None)

    with pytest.raises(EngineError, match="PEFT, which applies it, cannot be imported") as raised:
        cache.load("./bot")

    assert raised.value.hint == "Run: pip install peft"


def test_peft_sees_no_field_that_names_code_or_another_model(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "megatron_core": "evil",
        "auto_mapping": {"parent_library": "evil"},
        "tokenizer_name_or_path": "org/evil",
    }
    folder = write_adapter(tmp_path / "bot", **said)
    (tmp_path / "copy").mkdir()

    fill_adapter_copy(folder, tmp_path / "copy")

    seen = json.loads((tmp_path / "copy" / "adapter_config.json").read_text())
    assert seen.keys() == CONFIG.keys() - {"base_model_name_or_path"}
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
