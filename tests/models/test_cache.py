from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import CheckpointError, EngineError, HFModelsError, ModelCache
from pytest_hfmodels.models.cache import infer_task

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(models: ModelCache, tiny_gpt2: Path, tmp_path: Path) -> ModelCache:
    """An empty cache over a folder of its own, with a checkpoint in `./model`."""
    del models
    shutil.copytree(tiny_gpt2, tmp_path / "model")
    return ModelCache(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"task": "summarization"}, "Unknown task 'summarization'."),
        ({"engine": "jax"}, "Unknown engine 'jax'."),
        ({"head": "old"}, "Unknown head 'old'."),
    ],
)
def test_a_word_that_load_does_not_know_is_refused(cache: ModelCache, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(HFModelsError, match=said):
        cache.load("./model", **arguments)


@pytest.mark.parametrize(
    ("architectures", "task"),
    [
        (["GPT2LMHeadModel"], "text-generation"),
        (["GPT2ForSequenceClassification"], "text-classification"),
        (None, "text-generation"),
    ],
)
def test_the_task_is_what_the_configuration_says(
    cache: ModelCache, tmp_path: Path, architectures: list[str] | None, task: str
) -> None:
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architectures": architectures}))

    handle = cache.load("./model")

    assert handle.task == task
    assert infer_task(handle.checkpoint) == task


def test_two_folders_with_the_same_weights_are_two_models(cache: ModelCache, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "model", tmp_path / "other")

    assert cache.load("./model").model is not cache.load("./other").model
    assert cache.loads == 2


def test_a_changed_model_is_evicted_and_its_handles_stay_good(cache: ModelCache) -> None:
    handle, same = cache.load("./model"), cache.load("./model")
    handle.config.n_inner = 7

    found = list(cache.dirty())
    again = list(cache.dirty())

    assert found == [("./model (text-generation, torch)", ["config.n_inner: null -> 7"])]
    assert again == []
    assert handle.config.n_inner is None
    assert handle.model is same.model
    assert cache.loads == 2


def test_a_data_write_shows_when_weights_are_read(cache: ModelCache) -> None:
    cache.load("./model").model.transformer.ln_f.bias.data.add_(1)

    assert list(cache.dirty()) == []
    assert list(cache.dirty(weights=True)) == [("./model (text-generation, torch)", ["weights were written in place"])]


def test_a_missing_tokenizer_is_named(cache: ModelCache, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / "model" / name).unlink()

    with pytest.raises(CheckpointError, match=r"The tokenizer of ./model cannot be loaded from") as raised:
        cache.load("./model")

    assert "tokenizer.save_pretrained(folder)" in raised.value.hint


def test_an_adopted_wrapper_s_settings_are_the_inner_model_s(cache: ModelCache) -> None:
    """As PEFT's wrappers do it: attributes are handed on, and `generate` is the inner model's."""
    import torch

    class Wrapper(torch.nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.module = module

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.module, name)

        def forward(self, *arguments: Any, **keywords: Any) -> Any:
            return self.module(*arguments, **keywords)

    bare = cache.load("./model")
    wrapped = cache.adopt(Wrapper(bare.model), bare.tokenizer)

    record = wrapped.generate("Hello", max_new_tokens=6)

    assert record.effective == bare.generate("Hello", max_new_tokens=6).effective
    assert "_get_logits_processor" not in vars(bare.model)


def test_an_adopted_model_is_described_by_what_it_is(cache: ModelCache) -> None:
    handle = cache.load("./model", task="text-classification")

    adopted = cache.adopt(handle.model, handle.tokenizer)

    assert adopted.task == "text-classification"
    assert adopted.checkpoint.name == "GPT2ForSequenceClassification"
    assert adopted.checkpoint.digests.weights.startswith("sha256:")
    with pytest.raises(EngineError, match="not dict"):
        cache.adopt({}, handle.tokenizer)
