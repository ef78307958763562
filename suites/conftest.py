"""Drawn models that the suites of both architectures use, loaded once per engine like the bundled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from suites.drawn import PAD, gpt2_checkpoint, transfo_xl_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel
    from pytest_hfmodels.models import ModelCache


@pytest.fixture(scope="session")
def drawn_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the drawn checkpoints, by name."""
    folder = tmp_path_factory.mktemp("drawn")
    return {
        "gpt2": gpt2_checkpoint(folder / "drawn-gpt2"),
        "transfo-xl": transfo_xl_checkpoint(folder / "drawn-transfo-xl"),
    }


@pytest.fixture(scope="session")
def flat_gpt2(gpt2: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    """A GPT-2 of 30 tokens whose choices are close, on the engine of `gpt2`."""
    return hf_models.load(drawn_checkpoints["gpt2"], task="text-generation", engine=gpt2.engine)


@pytest.fixture(scope="session")
def flat_transfo_xl(transfo_xl: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    """A Transformer-XL of 24 words in three clusters whose choices are close, on the engine of `transfo_xl`."""
    return hf_models.load(drawn_checkpoints["transfo-xl"], task="text-generation", engine=transfo_xl.engine)


@pytest.fixture(scope="session")
def drawn(hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> Callable[..., HFModel]:
    """Returns a drawn classifier with the given number of labels, of `hf_model`'s architecture and engine."""

    def classifier(num_labels: int, **how: Any) -> HFModel:
        return hf_models.load(
            drawn_checkpoints[hf_model.config.model_type],
            task="text-classification",
            engine=hf_model.engine,
            head="fixed",
            num_labels=num_labels,
            pad_token_id=PAD,
            **how,
        )

    return classifier


@pytest.fixture(scope="session")
def without_pad(hf_model: HFModel, hf_models: ModelCache, drawn_checkpoints: dict[str, Path]) -> HFModel:
    """A drawn classifier without a padding token, of `hf_model`'s architecture and engine."""
    folder = drawn_checkpoints[hf_model.config.model_type]
    return hf_models.load(folder, task="text-classification", engine=hf_model.engine)
