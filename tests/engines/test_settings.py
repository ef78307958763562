from __future__ import annotations

from enum import StrEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.settings import NotPlainError, effective_settings, plain, resolved_settings

from ..surroundings import needs_both_engines

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache


class Kind(StrEnum):
    FAST = "fast"


def test_settings_are_told_in_one_form() -> None:
    config = SimpleNamespace(max_length=np.int64(20), num_beams=None, eos_token_id=50, early_stopping=True, top_k=5)

    settings = effective_settings(config, {"max_new_tokens": 4, "num_beams": 3, "renormalize_logits": True}, 16)

    assert settings["max_length"] == 20
    assert type(settings["max_length"]) is int
    assert settings["num_beams"] == 1
    assert settings["eos_token_id"] == [50]
    assert settings["early_stopping"] is True
    assert settings["length_penalty"] == 1.0
    assert settings["renormalize_logits"] is True
    assert "max_new_tokens" not in settings


def test_a_model_is_listened_to_for_one_call_only(models: ModelCache) -> None:
    handle = models.load("./model")

    record = handle.generate("Hi", num_beams=2, max_new_tokens=3, length_penalty=2.0, early_stopping=True)

    assert "_get_logits_processor" not in vars(handle.model)
    effective = record.effective
    assert (effective["max_length"], effective["num_beams"]) == (5, 2)
    assert (effective["length_penalty"], effective["early_stopping"]) == (2.0, True)


@pytest.mark.filterwarnings("ignore:Using .*max_length:UserWarning")
def test_the_default_length_is_resolved(models: ModelCache) -> None:
    record = models.load("./model").generate("Hello")

    assert record.effective["max_length"] == 5 + len(record.ids)
    assert record.effective["max_length"] == (25 if upstream.release_at_least("4.49") else 20)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ((2, 1.5), [2, 1.5]),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2]]), [[1, 2]]),
        ([(1, np.int64(2)), "a"], [[1, 2], "a"]),
        ({"a": (1,), "b": None}, {"a": [1]}),
        ({(3, 1): 2.0, (1,): -1.0}, [[[1], -1.0], [[3, 1], 2.0]]),
        (Kind.FAST, "fast"),
        (range(2), None),
        ({1, 2}, None),
        (object(), None),
        ([print], None),
        ([None], None),
        (float("nan"), None),
        ("\ud800", None),
        ({1: 1, "a": 2}, None),
    ],
)
def test_a_setting_is_recorded_as_toml_holds_it(value: Any, form: Any) -> None:
    if form is None:
        with pytest.raises(NotPlainError):
            plain(value)
    else:
        assert plain(value) == form
        assert type(plain(value)) is type(form)


def test_a_torch_scalar_is_recorded_as_a_number() -> None:
    torch = pytest.importorskip("torch")

    assert plain({"a": [torch.tensor(2), torch.tensor([1.5])]}) == {"a": [2, [1.5]]}


@pytest.mark.parametrize("engine", ["torch", pytest.param("tensorflow", marks=needs_both_engines)])
def test_the_least_number_of_new_tokens_is_told_as_a_length(models: ModelCache, engine: Any) -> None:
    record = models.load("./model", engine=engine).generate("Hell", min_new_tokens=5, max_new_tokens=8)

    assert record.effective["min_length"] == 9
    assert "min_new_tokens" not in record.effective


def test_a_listener_of_the_test_s_own_is_put_back(models: ModelCache) -> None:
    model = models.load("./model").model
    called: list[Any] = []

    def own(*arguments: Any, **keywords: Any) -> Any:
        called.append(arguments)
        return type(model)._get_logits_processor(model, *arguments, **keywords)

    model._get_logits_processor = own
    try:
        with resolved_settings(model) as caught:
            models.load("./model").generate("Hi", max_new_tokens=1)
        assert model._get_logits_processor is own
        assert called
        assert caught
    finally:
        del model._get_logits_processor
