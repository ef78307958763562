"""A Transformer-XL is the same after saving and loading, in every dtype, and tied as its configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels import engines
from pytest_hfmodels.engines import LoadOptions, upstream
from pytest_hfmodels.properties.saving import check_reloaded
from suites.drawn import transfo_xl_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.engines import LoadedModel

IDS = np.random.Generator(np.random.PCG64(1)).integers(0, 24, (3, 7)).tolist()

torch_only = pytest.mark.hf_model("tiny-transfo-xl", engines=["torch"])


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transfo_xl_checkpoint(tmp_path_factory.mktemp("loading") / "drawn", eos_token_id=0)


def load(folder: Path, **options: Any) -> LoadedModel:
    return engines.engine("torch", with_tensorflow=False).load(folder, "text-generation", LoadOptions(**options))


def reloaded(model: LoadedModel, folder: Path, dtype: str = "float32", **given: Any) -> Any:
    import torch

    keyword = "dtype" if upstream.release_at_least("4.56") else "torch_dtype"
    return type(model.model).from_pretrained(str(folder), **{keyword: getattr(torch, dtype)}, **given)


@torch_only
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.usefixtures("hf_model")
def test_every_dtype_survives_saving(folder: Path, tmp_path: Path, dtype: str) -> None:
    model = load(folder, dtype=dtype)

    model.model.save_pretrained(tmp_path)

    fault = check_reloaded(model, reloaded(model, tmp_path, dtype), IDS)
    assert fault is None, str(fault)


@torch_only
@pytest.mark.parametrize(
    "saving", [{}, {"max_shard_size": "2KB"}, {"variant": "mine"}], ids=["one file", "shards", "a variant"]
)
@pytest.mark.usefixtures("hf_model")
def test_every_path_survives_saving(folder: Path, tmp_path: Path, saving: dict[str, str]) -> None:
    model = load(folder)

    model.model.save_pretrained(tmp_path, **saving)

    given = {"variant": saving["variant"]} if "variant" in saving else {}
    fault = check_reloaded(model, reloaded(model, tmp_path, **given), IDS)
    assert fault is None, str(fault)


@torch_only
@pytest.mark.parametrize(
    "config",
    [
        {"tie_word_embeddings": False},
        {"proj_share_all_but_first": False},
        {"untie_r": False},
        {"div_val": 1},
        {"div_val": 1, "d_embed": 16},
    ],
    ids=lambda config: ",".join(f"{name}={value}" for name, value in config.items()),
)
def test_tied_weights_stay_tied(hf_model: HFModel, tmp_path: Path, config: dict[str, Any]) -> None:
    import torch

    fields = {**hf_model.config.to_dict(), **config, "cutoffs": [4, 9], "vocab_size": 30, "mem_len": 4}
    inner = type(hf_model.model)(type(hf_model.config)(**fields)).eval()
    random = np.random.Generator(np.random.PCG64(3))
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.copy_(torch.from_numpy(0.3 * random.standard_normal(tuple(parameter.shape))))
    model = engines.engine("torch", with_tensorflow=False).adopt(inner)

    inner.save_pretrained(tmp_path)
    again = reloaded(model, tmp_path)

    fault = check_reloaded(model, again, IDS)
    assert fault is None, str(fault)
    assert len(list(again.parameters())) == len(list(inner.parameters()))


@torch_only
def test_the_trained_model_survives_saving(hf_model: HFModel, tmp_path: Path) -> None:
    model = load(hf_model.checkpoint.folder)  # not the session's model, because saving may change it

    model.model.save_pretrained(tmp_path)

    fault = check_reloaded(model, reloaded(model, tmp_path), IDS)
    assert fault is None, str(fault)


@pytest.mark.hf_model("tiny-transfo-xl", engines=["tensorflow"])
def test_tensorflow_survives_saving(hf_model: HFModel, tmp_path: Path) -> None:
    hf_model.model.save_pretrained(tmp_path)

    again = type(hf_model.model).from_pretrained(str(tmp_path))

    fault = check_reloaded(hf_model.loaded, again, IDS)
    assert fault is None, str(fault)
