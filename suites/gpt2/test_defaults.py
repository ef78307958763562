"""Default settings. These defaults have changed between releases: snapshots/upstream.toml says when."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels import HFModel, HFSnapshot, ModelCache


# Releases warn about the tested default in different words.
@pytest.mark.filterwarnings("ignore:.*(model-agnostic default `max_length`|`max_length`'s default):UserWarning")
def test_length(gpt2: HFModel, hf_snapshot: HFSnapshot) -> None:
    assert gpt2.generate("My name is Hasnain") == hf_snapshot


def test_attention_is_sdpa(hf_models: ModelCache) -> None:
    unpinned = hf_models.load("tiny-gpt2", pin=False)

    assert unpinned.generate("My name is", max_new_tokens=1).provenance.attention == "sdpa"


def test_half_precision_weights_are_widened(half_precision: Path, hf_models: ModelCache) -> None:
    unpinned = hf_models.load(half_precision, pin=False)

    assert unpinned.generate("My name is", max_new_tokens=1).provenance.dtype == "float32"


@pytest.fixture(scope="module")
def half_precision(hf_models: ModelCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled checkpoint with float16 weights, as many published checkpoints have."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("half-precision") / "model"
    shutil.copytree(hf_models.load("tiny-gpt2").checkpoint.folder, folder)
    weights = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": "float16"}))
    return folder
