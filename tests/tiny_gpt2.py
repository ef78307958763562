"""A GPT-2 of 256 bytes and two blocks, built from fixed NumPy numbers: fast, and its outputs differ by prompt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Weights = dict[str, "NDArray[np.float32]"]

END_OF_TEXT = 256
VOCABULARY = 257
WIDTH = 32
LABELS = ("calm", "curious", "cross")


def write_checkpoint(folder: Path, *, config: Mapping[str, Any] | None = None, weights: Weights | None = None) -> Path:
    """Write a checkpoint that serves both as a language model and as a classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", {**CONFIG, **(config or {})})
    _write_json(folder / "vocab.json", _vocabulary())
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 128, **special}
    )
    write_weights(folder, tiny_weights() if weights is None else weights)
    return folder


def write_weights(folder: Path, weights: Weights) -> None:
    from safetensors.numpy import save_file

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def tiny_weights() -> Weights:
    """Return float32 weights by GPT-2's names; printable bytes only have embeddings worth choosing."""
    random = np.random.Generator(np.random.PCG64(0))

    def drawn(*shape: int, scale: float = 0.25) -> NDArray[np.float32]:
        return (scale * random.standard_normal(shape)).astype(np.float32)

    embeddings = drawn(VOCABULARY, WIDTH, scale=0.5)
    unprintable = [index for index in range(VOCABULARY) if not 32 <= index < 127]
    embeddings[unprintable] *= 0.02
    weights = {
        "transformer.wte.weight": embeddings,
        "transformer.wpe.weight": drawn(128, WIDTH, scale=0.5),
        "transformer.ln_f.weight": np.ones(WIDTH, np.float32),
        "transformer.ln_f.bias": drawn(WIDTH),
        "score.weight": drawn(len(LABELS), WIDTH),
    }
    for block in ("transformer.h.0", "transformer.h.1"):
        for norm in ("ln_1", "ln_2"):
            weights[f"{block}.{norm}.weight"] = np.ones(WIDTH, np.float32)
            weights[f"{block}.{norm}.bias"] = np.zeros(WIDTH, np.float32)
        for layer, (inner, outer) in _LAYERS.items():
            weights[f"{block}.{layer}.weight"] = drawn(inner, outer)
            weights[f"{block}.{layer}.bias"] = drawn(outer)
    return weights


def _vocabulary() -> dict[str, int]:
    """Return GPT-2's 256 stand-in characters, each for the byte that is its id here, and the end of text."""
    readable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in readable]
    characters = {byte: chr(byte) for byte in readable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return {characters[byte]: byte for byte in range(256)} | {"<|endoftext|>": END_OF_TEXT}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


CONFIG: dict[str, Any] = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": VOCABULARY,
    "n_positions": 128,
    "n_embd": WIDTH,
    "n_layer": 2,
    "n_head": 2,
    "activation_function": "gelu_new",
    "bos_token_id": END_OF_TEXT,
    "eos_token_id": END_OF_TEXT,
    "id2label": {str(index): label for index, label in enumerate(LABELS)},
    "label2id": {label: index for index, label in enumerate(LABELS)},
}
_LAYERS = {
    "attn.c_attn": (WIDTH, 3 * WIDTH),
    "attn.c_proj": (WIDTH, WIDTH),
    "mlp.c_fc": (WIDTH, 4 * WIDTH),
    "mlp.c_proj": (4 * WIDTH, WIDTH),
}
