from __future__ import annotations

import warnings
from enum import StrEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.settings import NotPlainError, effective_settings, plain

from ..surroundings import needs_both_engines

if TYPE_CHECKING:
    from pytest_hfmodels import ModelCache


class Kind(StrEnum):
    FAST = "fast"


def test_settings_have_one_form() -> None:
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

    def method() -> Any:
        return type(handle.model)._get_logits_processor

    before = method()
    record = handle.generate("Hi", num_beams=2, max_new_tokens=3, length_penalty=2.0, early_stopping=True)

    assert method() is before
    effective = record.effective
    assert (effective["max_length"], effective["num_beams"]) == (5, 2)
    assert (effective["length_penalty"], effective["early_stopping"]) == (2.0, True)


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
def test_a_setting_is_recorded_in_its_toml_form(value: Any, form: Any) -> None:
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
def test_min_new_tokens_is_recorded_as_min_length(models: ModelCache, engine: Any) -> None:
    record = models.load("./model", engine=engine).generate("Hell", min_new_tokens=5, max_new_tokens=8)

    assert record.effective["min_length"] == 9
    assert "min_new_tokens" not in record.effective


ASKED: list[dict[str, Any]] = [
    {"max_new_tokens": 4},
    {"max_length": 12},
    {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 2.0, "early_stopping": True, "max_new_tokens": 4},
    {"min_new_tokens": 3, "max_new_tokens": 6, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    {"eos_token_id": [65, 66], "pad_token_id": 0, "max_new_tokens": 3},
]


@pytest.mark.parametrize("engine", ["torch", pytest.param("tensorflow", marks=needs_both_engines)])
def test_settings_that_cannot_be_captured_are_the_requested_ones(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    bot = models.load("./model", engine=engine)
    monkeypatch.setattr(bot.model.generation_config, "length_penalty", 2.0)
    captured = [bot.generate("Hello", **asked) for asked in ASKED]
    monkeypatch.setattr("pytest_hfmodels.engines.capture._METHOD", "_renamed_in_a_later_release")

    assert [bot.generate("Hello", **asked) for asked in ASKED] == captured
    assert bot.generate("Hello").effective["max_length"] is None


@pytest.mark.parametrize("has_the_method", [True, False])
def test_a_model_that_delegates_generate_is_recorded_with_the_requested_settings(
    models: ModelCache, *, has_the_method: bool
) -> None:
    torch = pytest.importorskip("torch")
    inner = models.load("./model")

    class Delegating(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.config = inner.model, inner.config
            self.generation_config = inner.model.generation_config
            if has_the_method:
                self._get_logits_processor = self.unused

        def unused(self) -> None:
            raise AssertionError("nobody calls it")

        def generate(self, *arguments: Any, **keywords: Any) -> Any:
            return self.inner.generate(*arguments, **keywords)

        def forward(self, input_ids: Any, attention_mask: Any = None, **keywords: Any) -> Any:
            return self.inner(input_ids, attention_mask=attention_mask, **keywords)

    settings: dict[str, Any] = {"num_beams": 3, "max_new_tokens": 4, "no_repeat_ngram_size": 2}
    direct = inner.generate("Hello", **settings)
    delegated = models.adopt(Delegating(), inner.tokenizer).generate("Hello", **settings)

    assert delegated.effective == direct.effective
    assert delegated.beam_cutoff_margin == direct.beam_cutoff_margin


@pytest.mark.parametrize("engine", ["torch", pytest.param("tensorflow", marks=needs_both_engines)])
@pytest.mark.parametrize(
    "own",
    [{}, {"temperature": 0.5, "top_p": 0.9, "top_k": 20}, {"length_penalty": 2.0, "early_stopping": True}],
    ids=["length", "sampling", "beams"],
)
def test_upstreams_warnings_about_the_plugins_settings_are_hidden(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch, engine: Any, own: dict[str, Any]
) -> None:
    bot = models.load("./model", engine=engine)
    for name, value in own.items():
        monkeypatch.setattr(bot.model.generation_config, name, value)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bot.generate("Hello")
        bot.generate_batch([[65, 66]])


def test_upstreams_warnings_about_the_tests_settings_are_shown(models: ModelCache, caplog: Any) -> None:
    from transformers.utils import logging

    bot = models.load("./model")
    logging.warning_once.cache_clear()  # another test may have been given the same advice

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bot.generate("Hello", max_new_tokens=2, temperature=0.5)

    said = [str(warning.message) for warning in caught]
    assert any("temperature" in message for message in [*said, *caplog.messages]) or upstream.release_at_least("5")


def test_only_plain_scores_are_compared_with_a_forward_pass(
    models: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = models.load("./model")

    def plain(**settings: Any) -> bool:
        return bot.generate_batch([[65, 66]], max_new_tokens=2, **settings).plain_scores

    assert plain()
    assert plain(num_beams=2)
    assert not plain(no_repeat_ngram_size=2)
    monkeypatch.setattr(bot.config, "mem_len", 8, raising=False)
    assert not plain()
    monkeypatch.setattr("pytest_hfmodels.engines.capture._METHOD", "_renamed_in_a_later_release")
    monkeypatch.setattr(bot.config, "mem_len", 0)
    assert not plain()
