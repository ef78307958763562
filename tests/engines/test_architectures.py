from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import EngineError, HFModelsError, ModelCache
from pytest_hfmodels.engines import usable

from ..other_checkpoints import edit_json, save_model
from ..tiny_gpt2 import write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")

SUPPORTED = "decoders for text-generation and …ForSequenceClassification models for text-classification"


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache with its own folder."""
    del models
    return ModelCache(tmp_path, with_tensorflow="tensorflow" in usable())


@pytest.mark.parametrize(
    "name",
    [
        "BartForConditionalGeneration",
        "MBartForConditionalGeneration",
        "MarianMTModel",
        "T5ForConditionalGeneration",
        "WhisperForConditionalGeneration",
        "BertForMaskedLM",
        "ViTForImageClassification",
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(cache: ModelCache, tmp_path: Path, name: str) -> None:
    save_model(tmp_path / "bot", name)

    with pytest.raises(EngineError) as raised:
        cache.load("./bot")

    assert repr(name) in raised.value.message
    assert SUPPORTED in raised.value.hint


def test_an_encoder_decoder_with_pickled_weights_is_refused(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_HFMODELS_CACHE", str(tmp_path / "cache"))
    folder = save_model(tmp_path / "bot", "BartForConditionalGeneration")
    import transformers

    whole = transformers.BartForConditionalGeneration.from_pretrained(str(folder)).state_dict()
    torch.save(whole, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    with pytest.raises(EngineError, match="BartForConditionalGeneration"):
        cache.load("./bot")


def test_a_classifier_with_a_decoder_is_refused(cache: ModelCache, tmp_path: Path) -> None:
    save_model(tmp_path / "bot", "BartForSequenceClassification")

    with pytest.raises(EngineError, match="BartForSequenceClassification"):
        cache.load("./bot")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"architectures": ["BertLMHeadModel"]}, "'BertLMHeadModel'"),
        ({"architectures": ["NoSuchModel"]}, "'NoSuchModel'"),
        ({"architectures": ["NoSuchModel"], "auto_map": {"AutoModelForCausalLM": "m.NoSuchModel"}}, "its own code"),
        ({"architectures": ["GPT2LMHeadModel", "ViTModel"]}, "'ViTModel'"),
        ({"architectures": ["AutoModelForCausalLM"]}, "'AutoModelForCausalLM'"),
        ({"architectures": ["\x1b[31mGPT2"]}, r"'\x1b[31mGPT2'"),
    ],
    ids=["another model", "unknown", "custom", "one of two", "an auto class", "escapes"],
)
@pytest.mark.parametrize("engine", usable())
def test_a_class_that_would_not_be_loaded_is_refused(
    cache: ModelCache, tmp_path: Path, fields: dict[str, Any], said: str, engine: Any
) -> None:
    edit_json(write_checkpoint(tmp_path / "bot") / "config.json", **fields)

    with pytest.raises(EngineError) as raised:
        cache.load("./bot", engine=engine)

    assert said in raised.value.message
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "BartForConditionalGeneration"])
def test_a_checkpoint_without_architectures_that_could_be_several_classes_is_refused(
    cache: ModelCache, tmp_path: Path, name: str
) -> None:
    edit_json(save_model(tmp_path / "bot", name) / "config.json", architectures=None)

    with pytest.raises(EngineError, match="names no architecture"):
        cache.load("./bot")


def test_a_model_type_is_never_guessed_from_the_folder_s_name(cache: ModelCache, tmp_path: Path) -> None:
    edit_json(write_checkpoint(tmp_path / "gpt2") / "config.json", model_type=None, architectures=None)

    with pytest.raises(HFModelsError, match="model_type"):
        cache.load("./gpt2")


@pytest.mark.parametrize(
    "name",
    [
        "GPT2Model",
        "GPT2LMHeadModel",
        "GPT2DoubleHeadsModel",
        "GPT2ForSequenceClassification",
        "TFGPT2LMHeadModel",
        None,
    ],
)
@pytest.mark.parametrize("task", ["text-generation", "text-classification"])
def test_a_head_over_the_same_base_is_loaded(cache: ModelCache, tmp_path: Path, name: str | None, task: Any) -> None:
    edit_json(write_checkpoint(tmp_path / "bot") / "config.json", architectures=name and [name])

    loaded = cache.load("./bot", task=task).model

    assert type(loaded).__name__ == (
        "GPT2LMHeadModel" if task == "text-generation" else "GPT2ForSequenceClassification"
    )


@pytest.mark.parametrize(
    ("name", "task", "fields"),
    [
        ("BartForCausalLM", None, {}),
        ("BertLMHeadModel", None, {"is_decoder": True}),
        ("BertForSequenceClassification", None, {}),
        ("LlamaForCausalLM", None, {"num_key_value_heads": 2}),
        ("BertForPreTraining", "text-classification", {}),
    ],
)
def test_a_class_that_a_checkpoint_names_is_loaded(
    cache: ModelCache, tmp_path: Path, name: str, task: Any, fields: dict[str, Any]
) -> None:
    save_model(tmp_path / "bot", name, **fields)

    handle = cache.load("./bot", task=task, head="fixed")

    assert type(handle.model).__name__ == ("BertForSequenceClassification" if task else name)


def test_an_encoder_decoder_cannot_be_adopted(cache: ModelCache, tmp_path: Path) -> None:
    import transformers

    folder = save_model(tmp_path / "bart", "BartForConditionalGeneration")
    shutil.copytree(write_checkpoint(tmp_path / "gpt2"), tmp_path / "other")
    model = transformers.BartForConditionalGeneration.from_pretrained(str(folder))

    with pytest.raises(EngineError, match="is an encoder-decoder"):
        cache.adopt(model, cache.load("./gpt2").tokenizer)
