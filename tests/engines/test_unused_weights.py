from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pytest_hfmodels import CheckpointError, ModelCache
from pytest_hfmodels.engines import usable

from ..other_checkpoints import edit_json, save_model
from ..tiny_gpt2 import tiny_weights, write_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
every_engine = pytest.mark.parametrize("engine", usable())


@pytest.fixture
def cache(models: ModelCache, tmp_path: Path) -> ModelCache:
    """An empty cache with its own folder."""
    del models
    return ModelCache(tmp_path, with_tensorflow="tensorflow" in usable())


@every_engine
@pytest.mark.parametrize("task", ["text-generation", "text-classification"])
def test_a_layer_that_the_model_does_not_have_is_an_error(
    cache: ModelCache, tmp_path: Path, engine: Any, task: Any
) -> None:
    write_checkpoint(tmp_path / "bot", config={"n_layer": 1})

    with pytest.raises(CheckpointError, match=r"does not use: .*'transformer\.h\.1\.attn\.c_attn\.weight'"):
        cache.load("./bot", engine=engine, task=task)


@every_engine
@pytest.mark.parametrize(
    "name", ["transformer.h.0.adapter.weight", "adapter.weight", "vision_tower.weight", "transformer.score.weight"]
)
def test_a_tensor_that_belongs_to_no_head_is_an_error(
    cache: ModelCache, tmp_path: Path, engine: Any, name: str
) -> None:
    write_checkpoint(tmp_path / "bot", weights={**tiny_weights(), name: np.ones(2, np.float32)})

    with pytest.raises(CheckpointError) as raised:
        cache.load("./bot", engine=engine)

    assert f"does not use: {name!r}." in raised.value.message


@every_engine
def test_a_head_unlike_the_tied_embedding_is_an_error(cache: ModelCache, tmp_path: Path, engine: Any) -> None:
    head = tiny_weights()["transformer.wte.weight"] * 2
    write_checkpoint(tmp_path / "bot", weights={**tiny_weights(), "lm_head.weight": head})

    with pytest.raises(CheckpointError, match=r"'lm_head\.weight' .* 'transformer\.wte\.weight'"):
        cache.load("./bot", engine=engine)


@every_engine
def test_a_head_equal_to_the_tied_embedding_is_fine(cache: ModelCache, tmp_path: Path, engine: Any) -> None:
    head = tiny_weights()["transformer.wte.weight"].copy()
    write_checkpoint(tmp_path / "bot", weights={**tiny_weights(), "lm_head.weight": head})
    write_checkpoint(tmp_path / "plain")

    records = [cache.load(name, engine=engine).generate("Hi", max_new_tokens=4) for name in ("./bot", "./plain")]

    assert records[0].ids == records[1].ids


@every_engine
@pytest.mark.parametrize("task", ["text-generation", "text-classification"])
def test_heads_of_other_tasks_and_old_buffers_are_left_out(
    cache: ModelCache, tmp_path: Path, engine: Any, task: Any
) -> None:
    others: Any = {
        "lm_head.weight": tiny_weights()["transformer.wte.weight"].copy(),
        "multiple_choice_head.summary.weight": np.ones((1, 32), np.float32),
        "multiple_choice_head.summary.bias": np.ones(1, np.float32),
        "transformer.h.0.attn.bias": np.tril(np.ones((1, 1, 128, 128), np.bool_)),
        "transformer.h.1.attn.masked_bias": np.array(-1e4, np.float32),
    }
    write_checkpoint(tmp_path / "bot", weights={**tiny_weights(), **others})
    edit_json(tmp_path / "bot" / "config.json", architectures=["GPT2DoubleHeadsModel"])

    assert cache.load("./bot", engine=engine, task=task).loaded.engine == engine


def test_unused_weights_of_other_architectures_are_an_error(cache: ModelCache, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "bot", "LlamaForCausalLM", num_key_value_heads=2)
    assert cache.load("./bot").generate("Hi", max_new_tokens=1).ids
    edit_json(folder / "config.json", num_hidden_layers=0)

    with pytest.raises(CheckpointError, match=r"does not use: .*model\.layers\.0"):
        ModelCache(tmp_path).load("./bot")


@every_engine
@pytest.mark.parametrize("name", ["v_head.summary.weight", "loss_fct.weight", "transformer.h.0.attn.masked_bias"])
def test_known_weights_without_a_module_are_left_out(cache: ModelCache, tmp_path: Path, engine: Any, name: str) -> None:
    write_checkpoint(tmp_path / "bot", weights={**tiny_weights(), name: np.ones(2, np.float32)})

    assert cache.load("./bot", engine=engine).engine == engine


@every_engine
def test_a_test_names_weights_to_leave_out(cache: ModelCache, tmp_path: Path, engine: Any) -> None:
    extra = {"adapter.0.weight": np.ones(2, np.float32), "adapter.1.weight": np.ones(2, np.float32)}
    write_checkpoint(tmp_path / "bot", weights={**tiny_weights(), **extra})

    with pytest.raises(CheckpointError, match=r"does not use: 'adapter\.0\.weight'") as raised:
        cache.load("./bot", engine=engine, unused=["adapter.1.*"])

    assert "unused=['adapter.0.weight']" in raised.value.hint
    assert cache.load("./bot", engine=engine, unused=["adapter.*"]).engine == engine


def test_a_classifier_without_a_pooler_leaves_that_of_its_files_out(cache: ModelCache, tmp_path: Path) -> None:
    """`RobertaForSequenceClassification` builds its base without one; published files hold it."""
    file = save_model(tmp_path / "bot", "RobertaForSequenceClassification") / "model.safetensors"
    pooler = {"weight": np.ones((16, 16), np.float32), "bias": np.ones(16, np.float32)}
    weights = {**load_file(file), **{f"roberta.pooler.dense.{name}": value for name, value in pooler.items()}}
    save_file(weights, file, metadata={"format": "pt"})

    assert cache.load("./bot", task="text-classification").task == "text-classification"
