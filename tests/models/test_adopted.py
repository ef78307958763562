"""Models that the user loaded: which test changed them, and whether their checkpoint is the same across releases."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import ModelCache

from ..explain.asking import ask, bent, stored

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from ..project import Project
else:
    torch = pytest.importorskip("torch")

ADOPTING = """
import pytest
import torch
import transformers

class Adapted(torch.nn.Module):
    '''Names its active adapters in a list, as PEFT's layers do.'''

    def __init__(self, inner):
        super().__init__()
        self.inner, self._active_adapter, self.scaling = inner, ["default"], {"default": 1.0, "b": 2.0}

    @property
    def weight(self):
        return self.inner.weight

    def forward(self, *arguments, **keywords):
        return self.inner(*arguments, **keywords)

@pytest.fixture(scope="session")
def base(hf_models):
    model = transformers.GPT2LMHeadModel.from_pretrained("./model").eval()
    model.transformer.h[0].mlp.c_fc = Adapted(model.transformer.h[0].mlp.c_fc)
    return model

@pytest.fixture(scope="session")
def own(hf_models, base):
    return hf_models.adopt(base, hf_models.load("./model").tokenizer, name="mine")

def test_before(own):
    own.generate("Hi", max_new_tokens=1)

def test_changing(base):
    {change}

def test_after(own):
    own.generate("Hi", max_new_tokens=1)
"""


@pytest.fixture
def cache(models: ModelCache, tiny_gpt2: Path) -> ModelCache:
    """An empty cache: a test may leave its model changed."""
    del models
    return ModelCache(tiny_gpt2.parent)


@pytest.fixture
def tokenizer(models: ModelCache) -> Any:
    return models.load("./model").tokenizer


def own_model(folder: Path) -> Any:
    """Load a model as users do."""
    import transformers

    return transformers.GPT2LMHeadModel.from_pretrained(str(folder)).eval()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("base.transformer.ln_f.eps = 0.5", "attribute eps of transformer.ln_f: 1e-05 -> 0.5"),
        (
            "base.transformer.h[0].mlp.c_fc._active_adapter = ['b']",
            "attribute _active_adapter of transformer.h.0.mlp.c_fc: 'default' -> 'b'",
        ),
        (
            "base.transformer.h[0].mlp.c_fc.scaling['default'] = 3.0",
            "attribute scaling of transformer.h.0.mlp.c_fc: *",
        ),
    ],
)
def test_a_change_is_named_in_the_test_that_made_it(project: Project, change: str, named: str) -> None:
    project.write(ADOPTING.replace("{change}", change))

    warned = project.run()
    refused = project.run("--hfmodels-on-mutation", "error")

    warned.assert_outcomes(passed=3, warnings=1)
    warned.stdout.fnmatch_lines(
        [f"*test_it.py::test_changing changed a shared model*mine (text-generation, torch): {named}"]
    )
    refused.assert_outcomes(passed=3, errors=1)
    refused.stdout.fnmatch_lines(["*ERROR at teardown of test_changing*"])


def test_a_later_failure_names_the_change_and_the_test_that_made_it(project: Project) -> None:
    source = ADOPTING.replace("{change}", "base.transformer.ln_f.eps = 0.5")
    project.write(
        source
        + "\ndef test_number(own, hf_snapshot):\n    assert own.generate('Hi', max_new_tokens=12) == hf_snapshot\n"
    )
    project.run("--snapshot-update", "-k", "test_number")

    result = project.run("-k", "not test_after")

    result.assert_outcomes(passed=2, failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*attribute eps of transformer.ln_f: 1e-05 -> 0.5 (changed by test_it.py::test_changing)*"]
    )
    result.stdout.no_fnmatch_line("*hfmodels bisect*")


class Wrapped(torch.nn.Module):
    """Sets a method of the inner model on its tuner for each `generate` and restores another one, as PEFT does."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.base_model: Any = Tuner(inner)
        self.original = self.base_model.prepare_inputs_for_generation

    def generate(self, *arguments: Any, **keywords: Any) -> Any:
        self.base_model.prepare_inputs_for_generation = self.prepare_inputs_for_generation
        output = self.base_model.generate(*arguments, **keywords)
        self.base_model.prepare_inputs_for_generation = self.original
        return output

    def prepare_inputs_for_generation(self, *arguments: Any, **keywords: Any) -> Any:
        return self.original(*arguments, **keywords)

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        return self.base_model(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base_model"), name)


class Tuner(torch.nn.Module):
    """Delegates everything to the inner model."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.model = inner

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        return self.model(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


def test_attributes_that_a_wrappers_generate_leaves_are_not_a_change(
    cache: ModelCache, tiny_gpt2: Path, tokenizer: Any
) -> None:
    handle = cache.adopt(Wrapped(own_model(tiny_gpt2)), tokenizer)

    handle.generate("Hi", max_new_tokens=2, num_beams=2)

    assert "prepare_inputs_for_generation" in vars(handle.model.base_model)
    assert list(cache.dirty(weights=True)) == []


def with_fields_of_another_release(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the configuration's `to_dict` return one field more and one field less, as other releases do."""
    kind = type(model.config)
    original = kind.to_dict

    def to_dict(self: Any) -> dict[str, Any]:
        values: dict[str, Any] = original(self)
        values.pop("attn_pdrop")
        return {**values, "_attn_implementation_autoset": True}

    monkeypatch.setattr(kind, "to_dict", to_dict)


def shifted(cache: ModelCache, model: Any, tokenizer: Any) -> Any:
    """Return a record whose numbers moved although nothing watched changed, as with a new release."""

    def shift(module: Any, inputs: Any, output: Any) -> Any:
        del module, inputs
        return bent(output, 0.05)

    model.transformer.ln_f.register_forward_hook(shift)
    return cache.adopt(model, tokenizer).generate("Hello", max_new_tokens=4)


@pytest.mark.parametrize("part", ["config", "weights"])
def test_digests_that_cannot_be_compared_are_not_a_cause(
    cache: ModelCache, tiny_gpt2: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    model = own_model(tiny_gpt2)
    recorded = stored(cache.adopt(model, tokenizer).generate("Hello", max_new_tokens=4), transformers="4.31.0")
    if part == "config":
        with_fields_of_another_release(model, monkeypatch)
        monkeypatch.setattr("pytest_hfmodels.models.adopted.installed", lambda _: "4.99.0")
    else:
        model = copy.deepcopy(model)
        model.register_buffer("position_ids", torch.zeros(2))  # names of tensors are the release's too

    found = ask(recorded, shifted(cache, model, tokenizer))

    assert found.cause != f"checkpoint:{part}"
    assert found.suggests


def test_a_configuration_that_differs_on_one_release_is_the_cause(
    cache: ModelCache, tiny_gpt2: Path, tokenizer: Any
) -> None:
    model = own_model(tiny_gpt2)
    recorded = stored(cache.adopt(model, tokenizer).generate("Hello", max_new_tokens=4))
    other = own_model(tiny_gpt2)
    other.config.activation_function = "relu"
    for block in other.transformer.h:
        block.mlp.act = torch.nn.ReLU()

    assert ask(recorded, cache.adopt(other, tokenizer).generate("Hello", max_new_tokens=4)).cause == "checkpoint:config"
