"""Small checkpoints with drawn weights: fixed random numbers from NumPy, never an initialisation.

Their distributions are flat, so close decisions are common and every part of a model affects its output.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Shapes = Iterator[tuple[str, tuple[int, ...]]]

PAD = 7  # an ordinary word, used as padding if a classifier needs it
GPT2: dict[str, Any] = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": 30,
    "n_positions": 64,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_inner": None,
    "activation_function": "gelu_new",
    "bos_token_id": None,
    "eos_token_id": None,
    "num_labels": 3,
    "tie_word_embeddings": True,
}
TRANSFO_XL: dict[str, Any] = {
    "architectures": ["TransfoXLLMHeadModel"],
    "model_type": "transfo-xl",
    "vocab_size": 24,
    "cutoffs": [8, 16],
    "d_model": 8,
    "d_embed": 8,
    "n_head": 2,
    "d_head": 4,
    "d_inner": 12,
    "div_val": 2,
    "n_layer": 2,
    "mem_len": 6,
    "clamp_len": 5,
    "eos_token_id": None,
    "bos_token_id": None,
    "num_labels": 3,
    "untie_r": True,
}


def gpt2_checkpoint(folder: Path, *, seed: int = 5, **config: Any) -> Path:
    """Write a GPT-2 that works as a language model and as a classifier with three labels.

    Args:
        folder: where to; made if it is not there.
        seed: of the numbers.
        config: fields that differ from `GPT2`.
    """
    whole = {**GPT2, **config}
    letters = {chr(ord("!") + index): index for index in range(int(whole["vocab_size"]))}
    _write_config(folder, whole)
    _write(folder / "vocab.json", json.dumps(letters))
    _write(folder / "merges.txt", "#version: 0.2\n")
    _write(folder / "tokenizer_config.json", json.dumps({"tokenizer_class": "GPT2Tokenizer", "unk_token": "!"}))
    _write_weights(folder, _numbers(_gpt2_shapes(whole), seed))
    return folder


def transfo_xl_checkpoint(folder: Path, *, seed: int = 5, **config: Any) -> Path:
    """Write a Transformer-XL that works as a language model and as a classifier with three labels.

    Args:
        folder: where to; made if it is not there.
        seed: of the numbers.
        config: fields that differ from `TRANSFO_XL`; `div_val` above 1.
    """
    whole = {**TRANSFO_XL, **config}
    words = ["<eos>", "<unk>", *(f"word{index}" for index in range(2, int(whole["vocab_size"])))]
    _write_config(folder, whole)
    _write(folder / "vocab.txt", "".join(f"{word}\n" for word in words))
    _write(folder / "tokenizer_config.json", json.dumps({"tokenizer_class": "TransfoXLTokenizer"}))
    _write_weights(folder, _tied(_numbers(_transfo_xl_shapes(whole), seed)))
    return folder


def _gpt2_shapes(config: Mapping[str, Any]) -> Shapes:
    width = config["n_embd"]
    inner = config["n_inner"] or 4 * width
    yield "transformer.wte.weight", (config["vocab_size"], width)
    yield "transformer.wpe.weight", (config["n_positions"], width)
    for layer in range(config["n_layer"]):
        block = f"transformer.h.{layer}"
        for norm in ("ln_1", "ln_2"):
            yield from _both(f"{block}.{norm}", width)
        yield from _both(f"{block}.attn.c_attn", width, 3 * width)
        yield from _both(f"{block}.attn.c_proj", width, width)
        yield from _both(f"{block}.mlp.c_fc", width, inner)
        yield from _both(f"{block}.mlp.c_proj", inner, width)
        if config.get("add_cross_attention"):
            yield from _both(f"{block}.ln_cross_attn", width)
            yield from _both(f"{block}.crossattention.c_attn", width, 2 * width)
            yield from _both(f"{block}.crossattention.q_attn", width, width)
            yield from _both(f"{block}.crossattention.c_proj", width, width)
    yield from _both("transformer.ln_f", width)
    yield "score.weight", (config["num_labels"], width)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], width)


def _transfo_xl_shapes(config: Mapping[str, Any]) -> Shapes:
    width, inner, heads = config["d_model"], config["d_inner"], (config["n_head"], config["d_head"])
    across = heads[0] * heads[1]
    ends = [*config["cutoffs"], config["vocab_size"]]
    yield "crit.cluster_weight", (len(config["cutoffs"]), config["d_embed"])
    yield "crit.cluster_bias", (len(config["cutoffs"]),)
    for cluster, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        narrow = config["d_embed"] // config["div_val"] ** cluster
        yield f"crit.out_layers.{cluster}.weight", (end - start, narrow)
        yield f"crit.out_layers.{cluster}.bias", (end - start,)
        yield f"crit.out_projs.{cluster}", (width, narrow)
        yield f"transformer.word_emb.emb_layers.{cluster}.weight", (end - start, narrow)
        yield f"transformer.word_emb.emb_projs.{cluster}", (width, narrow)
    for layer in range(config["n_layer"]):
        attention, feed_forward = (f"transformer.layers.{layer}.{part}" for part in ("dec_attn", "pos_ff"))
        yield f"{attention}.qkv_net.weight", (3 * across, width)
        yield f"{attention}.r_net.weight", (across, width)
        yield f"{attention}.o_net.weight", (width, across)
        yield f"{attention}.r_r_bias", heads
        yield f"{attention}.r_w_bias", heads
        yield from _both(f"{feed_forward}.CoreNet.0", inner, width, outer=inner)
        yield from _both(f"{feed_forward}.CoreNet.3", width, inner, outer=width)
        for part in (attention, feed_forward):
            yield from _both(f"{part}.layer_norm", width)
    yield "transformer.pos_emb.inv_freq", (width // 2,)
    yield "score.weight", (config["num_labels"], width)


def _both(name: str, *shape: int, outer: int | None = None) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[-1] if outer is None else outer,)


def _numbers(shapes: Shapes, seed: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.Generator(np.random.PCG64(seed))
    found = {}
    for name, shape in shapes:
        values = random.standard_normal(shape)
        if "ln_" in name or "layer_norm" in name:
            values = 1 + 0.03 * values if name.endswith("weight") else 0.1 * values
        else:
            values *= 0.4 if "wte" in name or "wpe" in name else 0.3
        if name.endswith("inv_freq"):  # not a weight, but a table that checkpoints contain
            values = 1 / 10000 ** (np.arange(shape[0]) / shape[0])
        found[name] = values.astype(np.float32)
    return found


def _tied(weights: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Tie the softmax to the embedding, except its first projection, as the architecture does."""
    for name in list(weights):
        own = name.replace("crit.out_layers", "transformer.word_emb.emb_layers")
        own = own.replace("crit.out_projs", "transformer.word_emb.emb_projs")
        if own != name and own in weights and not name.endswith("out_projs.0"):
            weights[name] = weights[own].copy()
    return weights


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", json.dumps(config, indent=1))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_weights(folder: Path, weights: Mapping[str, NDArray[np.float32]]) -> None:
    from safetensors.numpy import save_file

    save_file(dict(weights), folder / "model.safetensors", metadata={"format": "pt"})
