from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import engines
from pytest_hfmodels.engines import LoadOptions
from pytest_hfmodels.properties.saving import check_reloaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_hfmodels import HFModel, ModelCache
    from pytest_hfmodels.engines import LoadedModel

IDS = [[7, 3, 9, 4], [5, 5, 2, 8]]


@pytest.fixture
def bot(models: ModelCache) -> HFModel:
    return models.load("./model")


@pytest.fixture
def reload(bot: HFModel, tmp_path: Path) -> Callable[[], Any]:
    """Save it and load it again."""

    def through_a_file() -> Any:
        load(bot.checkpoint.folder).model.save_pretrained(tmp_path)
        return load(tmp_path).model

    return through_a_file


def load(folder: Path) -> LoadedModel:
    return engines.engine("torch", with_tensorflow=False).load(folder, "text-generation", LoadOptions())


def test_a_model_that_survives_saving_has_no_fault(bot: HFModel, reload: Callable[[], Any]) -> None:
    assert check_reloaded(bot, reload(), IDS) is None


def said(bot: HFModel, reloaded: Any) -> str:
    fault = check_reloaded(bot, reloaded, IDS)
    assert fault is not None
    return str(fault)


def test_dropout_that_is_on_is_found(bot: HFModel, reload: Callable[[], Any]) -> None:
    assert "modules are in training mode, with their dropout" in said(bot, reload().train())


def test_another_number_is_found(bot: HFModel, reload: Callable[[], Any]) -> None:
    import torch

    reloaded = reload()
    with torch.no_grad():
        reloaded.transformer.ln_f.bias[0] += 1e-7

    assert said(bot, reloaded) == "the reloaded model's weights: transformer.ln_f.bias has different numbers"


def test_another_dtype_is_found(bot: HFModel, reload: Callable[[], Any]) -> None:
    assert " is BF16 " in said(bot, reload().bfloat16())
    assert " and was F32 " in said(bot, reload().bfloat16())


def test_a_head_that_is_no_longer_tied_is_found_by_its_numbers(bot: HFModel, reload: Callable[[], Any]) -> None:
    import torch

    reloaded = reload()
    reloaded.lm_head.weight = torch.nn.Parameter(reloaded.lm_head.weight.detach() + 1)

    assert said(bot, reloaded) == "the reloaded model's weights: lm_head.weight has different numbers"


def test_another_setting_is_found(bot: HFModel, reload: Callable[[], Any]) -> None:
    reloaded = reload()
    reloaded.config.layer_norm_epsilon = 0.5

    assert said(bot, reloaded) == "the reloaded model's configuration: layer_norm_epsilon is 0.5 and was 1e-05"


def test_another_generation_setting_is_found(bot: HFModel, reload: Callable[[], Any]) -> None:
    reloaded = reload()
    reloaded.generation_config.max_new_tokens = 3

    assert said(bot, reloaded) == "the reloaded model's generation config: max_new_tokens is 3 and was None"


def test_another_computation_is_found(bot: HFModel, reload: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    reloaded = reload()
    head = reloaded.lm_head
    monkeypatch.setattr(head, "forward", lambda hidden: hidden @ head.weight.T + 1)

    assert "the reloaded model's outputs: the same weights give other logits: after " in said(bot, reloaded)
