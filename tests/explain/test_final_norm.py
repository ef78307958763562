"""A fault in the last block, or in the norm behind it: upstream returns the one behind the other."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_hfmodels.explain.final_norm import _epsilon, layer_norm, separate_final_norm
from pytest_hfmodels.kinds import Block
from pytest_hfmodels.kinds.evidence import fingerprint

from ..surroundings import needs_both_engines
from .asking import BEAMS, ask, blocks_shifted, classify, generate, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_hfmodels import HFModel, ModelCache


@contextmanager
def norm_at_fault(model: HFModel, made: Callable[[Any, Any, Any], Any]) -> Iterator[None]:
    """Let the final norm of every GPT-2 give something else, as a faulty release would.

    Args:
        model: one of them.
        made: from the module, what it is given and what it should give to what it gives.
    """
    body, norm = type(model.model.transformer), type(model.model.transformer.ln_f)
    plain_body, plain_norm = body.forward, norm.forward
    last: list[Any] = []

    def forward(self: Any, *arguments: Any, **keywords: Any) -> Any:
        last[:] = [self.ln_f]
        return plain_body(self, *arguments, **keywords)

    def faulty(self: Any, states: Any) -> Any:
        output = plain_norm(self, states)
        return made(self, states, output) if self in last else output

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "forward", forward)
        patch.setattr(norm, "forward", faulty)
        yield


def scaled(factor: float) -> Callable[[Any, Any, Any], Any]:
    return lambda _norm, _states, output: output * factor


def coarse(norm: Any, states: Any, _: Any) -> Any:
    import torch

    return torch.nn.functional.layer_norm(states, norm.normalized_shape, norm.weight, norm.bias, norm.eps * 1e3)


@pytest.mark.parametrize("call", [generate, lambda model: generate(model, **BEAMS), classify])
@pytest.mark.parametrize(
    ("block", "norm", "named"),
    [
        (0.0, scaled(1.001), "final norm"),
        (0.0, scaled(11.0), "final norm"),
        (0.0, coarse, "final norm"),
        (0.0, lambda *seen: seen[1], "final norm"),  # it is left out
        (1e-3, scaled(1.0), "block 2"),
        (10.0, scaled(1.0), "block 2"),
        (10.0, scaled(1.5), "block 2 or final norm"),
    ],
)
def test_the_last_block_and_the_norm_behind_it_are_separated(
    request: pytest.FixtureRequest, call: Any, block: float, norm: Any, named: str
) -> None:
    asked = request.getfixturevalue("classifier" if call is classify else "model")
    recorded = stored(call(asked))

    with blocks_shifted(asked.model, 1, block), norm_at_fault(asked, norm):
        found = ask(recorded, call(asked), tolerance=1e-6)

    assert (found.cause, found.block) == ("forward", named)


def test_epsilon_is_the_configuration_s_and_else_the_module_s() -> None:
    norm = SimpleNamespace(eps=1e-2)

    for config, expected in (({"layer_norm_epsilon": 1e-5}, 1e-5), ({"layer_norm_eps": 1e-6}, 1e-6), ({}, 1e-2)):
        assert _epsilon(SimpleNamespace(config=SimpleNamespace(**config)), norm) == expected


def test_capturing_leaves_no_hook(model: HFModel, models: ModelCache) -> None:
    recorded = stored(generate(model))
    list(models.dirty())

    with blocks_shifted(model.model, 1, 1.0):
        ask(recorded, generate(model))

    assert list(models.dirty(weights=True)) == []


def refuse() -> None:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("name", "engine", "block"),
    [
        ("tiny-transfo-xl", "torch", "block 2"),  # it has no final norm, and is not run again
        ("./model", "torch", "block 2 or final norm"),  # it cannot be run again
        pytest.param("./model", "tensorflow", "block 2 or final norm", marks=needs_both_engines),  # it takes no hooks
    ],
)
def test_a_norm_that_cannot_be_captured_leaves_it_open(models: ModelCache, name: str, engine: Any, block: str) -> None:
    model = models.load(name, engine=engine).model
    before, now = Block("block 2", 0.1, 0.2, 0.3), Block("block 2", 0.2, 0.2, 0.3)

    assert separate_final_norm(before, now, model, refuse) == (block, None)


@pytest.mark.parametrize("order", [("h", "last", "head"), ("last", "h", "head"), ("head", "first", "last", "h")])
@pytest.mark.parametrize("faulty", ["last", "h"])
def test_the_final_norm_is_found_wherever_it_is_declared(order: tuple[str, ...], faulty: str) -> None:
    import torch

    parts: dict[str, Any] = {
        "first": torch.nn.LayerNorm(4),
        "h": torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))]),
        "last": torch.nn.LayerNorm(4),
        "head": torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4)),
    }
    model = module(*((name, parts[name]) for name in order))
    states = torch.linspace(-1, 2, 24).reshape(2, 3, 4) ** 2

    def run() -> Any:
        last = parts["last"](parts["h"][0](states))
        parts["head"](last)
        return last

    recorded = block_of(run())
    at_fault = parts["last"] if faulty == "last" else parts["h"][0]
    at_fault.register_forward_hook(lambda _module, _inputs, output: output * torch.tensor([1.5, 1, 1, 1]))

    named, _ = separate_final_norm(recorded, block_of(run()), model, run)

    assert named == ("final norm" if faulty == "last" else "block 1")


def module(*parts: tuple[str, Any]) -> Any:
    """Return a module of parts in this order."""
    import torch

    made: Any = torch.nn.Module()
    made.config = SimpleNamespace()
    for name, part in parts:
        made.add_module(name, part)
    return made


def block_of(states: Any) -> Block:
    return replace(fingerprint([states.detach().double().numpy()])[0], name="block 1")


@pytest.mark.parametrize("behind", [False, True])
def test_norms_of_the_embeddings_and_of_the_head_are_not_final(behind: bool) -> None:
    import torch

    model = module(("norm", torch.nn.LayerNorm(4)))
    states = torch.linspace(-1, 2, 24).reshape(2, 3, 4)

    def run() -> Any:
        last = states if behind else model.norm(states) * 2 + 1
        if behind:
            model.norm(last)  # in the head: what it gives is no hidden state
        return last

    assert separate_final_norm(Block("block 1", 0.1, 0.2, 0.3), block_of(run()), model, run) == ("block 1", None)


def test_a_norm_of_another_kind_leaves_it_open() -> None:
    import torch

    class RootMeanSquare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(4))

        def forward(self, states: Any) -> Any:
            return states * self.weight

    other = torch.nn.Module()
    other.add_module("h", torch.nn.ModuleList([torch.nn.Identity()]))
    norm = RootMeanSquare()
    other.add_module("norm", norm)
    before, now = Block("block 1", 0.1, 0.2, 0.3), block_of(torch.ones(1, 2, 4))

    assert separate_final_norm(before, now, other, lambda: norm(torch.ones(1, 2, 4)))[0] == "block 1 or final norm"


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_norm_is_torch_s(bias: bool) -> None:
    import torch

    norm = torch.nn.LayerNorm(6, eps=1e-3, bias=bias).double()
    generator = np.random.default_rng(3)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.from_numpy(generator.normal(size=6)))
    states = generator.normal(size=(2, 3, 6))

    assert np.allclose(layer_norm(norm, states, norm.eps), norm(torch.from_numpy(states)).detach().numpy(), atol=1e-12)
