from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import HFModel, ModelCache
from pytest_hfmodels.engines import upstream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch = pytest.importorskip("torch")


@pytest.fixture
def cache(models: ModelCache, tiny_gpt2: Path) -> ModelCache:
    """An empty cache: a test may leave its model changed."""
    del models
    return ModelCache(tiny_gpt2.parent)


def unchanged(*values: Any) -> None:
    del values


def silence(handle: HFModel) -> None:
    handle.model.forward = unchanged


def swap_attention(handle: HFModel) -> None:
    handle.model.transformer.h[0].attn._attn = unchanged


def set_eps(handle: HFModel) -> None:
    handle.model.transformer.ln_f.eps = 0.5


def split_heads(handle: HFModel) -> None:
    handle.model.transformer.h[0].attn.num_heads = 4


def remove_attribute(handle: HFModel) -> None:
    del handle.model.transformer.h[1].attn.embed_dim


def replace_activation(handle: HFModel) -> None:
    handle.model.transformer.h[0].mlp.act = torch.nn.ReLU().eval()


def hook(handle: HFModel) -> None:
    handle.model.transformer.ln_f.register_forward_hook(unchanged)


def hook_before(handle: HFModel) -> None:
    handle.model.register_forward_pre_hook(unchanged)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (hook, "forward hooks of transformer.ln_f: added"),
        (hook_before, "forward pre-hooks of the model: added"),
        (silence, "attribute forward of the model: added"),
        (swap_attention, "attribute _attn of transformer.h.0.attn: added"),
    ],
)
def test_an_added_attribute_of_a_model_is_named(
    cache: ModelCache, change: Callable[[HFModel], None], said: str
) -> None:
    handle = cache.load("./model")
    handle.generate("Hi", max_new_tokens=1)

    change(handle)

    assert list(cache.dirty()) == [("./model (text-generation, torch)", [said])]
    assert handle.generate("Hi", max_new_tokens=1).ids


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_eps, "attribute eps of transformer.ln_f: 1e-05 -> 0.5"),
        (split_heads, "attribute num_heads of transformer.h.0.attn: 2 -> 4"),
        (remove_attribute, "attribute embed_dim of transformer.h.1.attn: 32 -> (absent)"),
        (replace_activation, "module transformer.h.0.mlp.act was replaced: NewGELUActivation -> ReLU"),
    ],
)
def test_a_changed_attribute_of_a_module_is_named(
    cache: ModelCache, change: Callable[[HFModel], None], said: str
) -> None:
    handle = cache.load("./model")

    change(handle)

    assert list(cache.dirty()) == [("./model (text-generation, torch)", [said])]


@pytest.mark.parametrize("how", ["zeroed", "replaced"])
def test_a_buffer_that_changed_is_named(cache: ModelCache, how: str) -> None:
    model = cache.load("./model").model
    model.register_buffer("scale", torch.ones(2), persistent=False)
    assert list(cache.dirty()) != []
    adopted = cache.adopt(model, cache.load("./model").tokenizer)

    if how == "zeroed":
        adopted.model.scale.zero_()
    else:
        adopted.model.scale = torch.ones(2)

    changes = [changes for _, changes in cache.dirty()]
    assert changes == [["tensor scale was replaced or written in place"]]


def test_a_model_that_was_used_in_every_way_has_not_changed(cache: ModelCache) -> None:
    handle = cache.load("./model")
    classifier = cache.load("./model", task="text-classification", pad_token_id=256)

    handle.generate("Hi", max_new_tokens=2, num_beams=2)
    handle.forward([[1, 2]])
    handle.model(torch.tensor([[1, 2]]), output_hidden_states=True, output_attentions=True)
    handle.model.generate(torch.tensor([[1, 2]]), max_new_tokens=2, pad_token_id=256)
    handle.tokenizer("Hello", truncation=True, max_length=2)
    classifier.classify(["a", "bcd"], labels=[0, 1])

    assert list(cache.dirty(weights=True)) == []


def llama() -> Any:
    """A Llama whose rotary embedding recomputes its frequencies for a longer text."""
    import transformers

    rope: dict[str, Any] = {"type": "dynamic", "factor": 2.0}
    if upstream.release_at_least("4.45"):
        rope = {"rope_type": "dynamic", "factor": 2.0}
    if upstream.release_at_least("5.0"):
        rope["rope_theta"] = 10000.0
    name = "rope_parameters" if upstream.release_at_least("5.0") else "rope_scaling"
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(vocab_size=257, max_position_embeddings=8, pad_token_id=0, **sizes, **{name: rope})
    ).eval()


def test_attributes_that_upstream_sets_are_not_a_change(cache: ModelCache) -> None:
    handle = cache.adopt(llama(), cache.load("./model").tokenizer)

    handle.generate("Hi", max_new_tokens=2, num_beams=2)
    handle.model(torch.arange(12)[None], output_hidden_states=True)

    assert list(cache.dirty(weights=True)) == []
