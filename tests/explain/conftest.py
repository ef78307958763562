"""What the tests of explanations ask; each gets models as loaded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ..tiny_gpt2 import tiny_weights, write_weights
from .asking import other_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache


@pytest.fixture
def model(models: ModelCache) -> Iterator[HFModel]:
    yield models.load("./model")
    list(models.dirty(weights=True))  # what a test here has changed is loaded anew


@pytest.fixture
def classifier(models: ModelCache) -> Iterator[HFModel]:
    yield models.load("./model", task="text-classification", pad_token_id=0)
    list(models.dirty(weights=True))


@pytest.fixture
def other(tiny_gpt2: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies the checkpoint with other weights, a vocabulary of two swapped words, or other configuration fields."""

    def made(*, weights: float = 1.0, words: str = "", generation: Any = None, **config: Any) -> Path:
        folder = other_folder(tiny_gpt2, tmp_path / "model")
        changed = tiny_weights()
        changed["transformer.h.0.mlp.c_fc.weight"] *= weights
        write_weights(folder, changed)
        own = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**own, **config}))
        if generation is not None:
            settings = {"eos_token_id": own["eos_token_id"], **generation}
            (folder / "generation_config.json").write_text(json.dumps(settings))
        if words:
            vocabulary = json.loads((folder / "vocab.json").read_text())
            vocabulary[words[0]], vocabulary[words[1]] = vocabulary[words[1]], vocabulary[words[0]]
            (folder / "vocab.json").write_text(json.dumps(vocabulary))
        return folder

    return made
