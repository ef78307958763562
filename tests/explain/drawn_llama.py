"""A Llama of thirty small blocks whose residual stream carries a few massive activations, as real ones do."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BLOCKS = 30
MASSIVE = 16  # the block after which the residual stream is large, counted from 1
_WIDTH, _INNER, _WORDS = 32, 64, 257


def write_llama(folder: Path, tokenizer: Path, *, blocks: int = BLOCKS) -> Path:
    """Write the checkpoint, with the tokenizer of another folder.

    Every token's stream grows from block to block; block `MASSIVE` writes large numbers into two channels of the first
    token, which the later blocks carry on.

    Args:
        folder: is made.
        tokenizer: a checkpoint folder of 257 words.
        blocks: how many.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / name)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": _WORDS,
        "hidden_size": _WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": blocks,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "bos_token_id": _WORDS - 1,
        "eos_token_id": _WORDS - 1,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(_weights(blocks), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _weights(blocks: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.Generator(np.random.PCG64(0))

    def drawn(*shape: int, scale: float) -> NDArray[np.float32]:
        return (scale * random.standard_normal(shape)).astype(np.float32)

    words = drawn(_WORDS, _WIDTH, scale=1.0)
    words[ord("H"), 0] = 12.0  # the feature that the massive block reads
    weights = {
        "model.embed_tokens.weight": words,
        "model.norm.weight": np.ones(_WIDTH, np.float32),
        "lm_head.weight": drawn(_WORDS, _WIDTH, scale=0.5),
    }
    for number in range(blocks):
        at = f"model.layers.{number}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{at}.{norm}.weight"] = np.ones(_WIDTH, np.float32)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            weights[f"{at}.self_attn.{name}.weight"] = drawn(_WIDTH, _WIDTH, scale=0.2)
        for name in ("gate_proj", "up_proj"):
            weights[f"{at}.mlp.{name}.weight"] = drawn(_INNER, _WIDTH, scale=0.2)
        weights[f"{at}.mlp.down_proj.weight"] = drawn(_WIDTH, _INNER, scale=0.2)
        if number + 1 == MASSIVE:
            weights[f"{at}.mlp.gate_proj.weight"][0] = 0
            weights[f"{at}.mlp.gate_proj.weight"][0, 0] = 4
            weights[f"{at}.mlp.up_proj.weight"][0] = 0
            weights[f"{at}.mlp.up_proj.weight"][0, 0] = 4
            weights[f"{at}.mlp.down_proj.weight"][[7, 19], 0] = [60.0, -24.0]
    return weights


@contextmanager
def attention_scaled(model: Any, block: int, factor: float = 1.003) -> Iterator[None]:
    """Scale the output of one attention in every Llama instance, as a faulty release would.

    Args:
        model: one of them.
        block: counted from 1.
        factor: of the output.
    """
    module = sys.modules[type(model).__module__]
    numbers = {id(layer.self_attn): number for number, layer in enumerate(model.model.layers, 1)}

    def scaled(original: Any) -> Any:
        def forward(self: Any, *arguments: Any, **keywords: Any) -> Any:
            output = original(self, *arguments, **keywords)
            number = getattr(self, "layer_idx", None)
            if (numbers.get(id(self)) if number is None else number + 1) != block:
                return output
            return (output[0] * factor, *output[1:])

        return forward

    with pytest.MonkeyPatch.context() as patch:
        for name, kind in vars(module).items():  # before 4.48 each kernel has a class
            if name.startswith("Llama") and name.endswith("Attention") and "forward" in vars(kind):
                patch.setattr(kind, "forward", scaled(kind.forward))
        yield
