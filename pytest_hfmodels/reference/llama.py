"""Llama's forward pass in NumPy, float64, and that of relatives with a bias, a norm or a window more; no cache.

Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models"; Su et al. 2021 for rotary positions.
Shapes: B rows of a batch, L tokens, V vocabulary entries, C channels, n heads of d channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.gpt2 import ACTIVATIONS, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.reference.search import FloatArray, IntArray


@dataclass(frozen=True)
class LlamaPass:
    """The outputs of one forward pass.

    Args:
        logits: (B, L, V).
        hidden_states: the input of each block, and the output of the last norm, (B, L, C) each.
    """

    logits: FloatArray
    hidden_states: tuple[FloatArray, ...]


@dataclass(frozen=True)
class Llama:
    """A Llama, Mistral, Qwen2 or Qwen3 language model.

    Args:
        config: the fields of `config.json`. It reads `num_hidden_layers`, `num_attention_heads`,
            `num_key_value_heads`, `rms_norm_eps`, `rope_theta`, `rope_scaling` (linear), `hidden_act`,
            `sliding_window` and `tie_word_embeddings`.
        weights: by upstream's names; biases and norms of queries and keys are used if they are there.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Any] = field(repr=False)

    def forward(self, ids: IntArray, mask: IntArray | None = None, *, positions: IntArray | None = None) -> LlamaPass:
        """Read a batch.

        Args:
            ids: (B, L).
            mask: (B, L), 1 where a token counts. The outputs at other tokens are undefined.
            positions: (B, L) or (1, L); by default they count from the row's start, padding included.
        """
        x = self._weight("model.embed_tokens.weight")[ids]
        length = ids.shape[1]
        positions = np.arange(length)[None] if positions is None else positions
        seen = np.tril(np.ones((length, length), bool))
        if self.config.get("sliding_window"):  # a token sees itself and the window's other tokens before it
            seen &= ~np.tril(np.ones((length, length), bool), -self.config["sliding_window"])
        visible = seen[None, None] if mask is None else seen[None, None] & (mask[:, None, None, :] == 1)
        hidden = []
        for layer in range(self.config["num_hidden_layers"]):
            hidden.append(x)
            block = f"model.layers.{layer}"
            x = x + self._attention(
                self._normalised(x, f"{block}.input_layernorm"), f"{block}.self_attn", visible, positions
            )
            x = x + self._feed_forward(self._normalised(x, f"{block}.post_attention_layernorm"), f"{block}.mlp")
        x = self._normalised(x, "model.norm")
        tied = self.config.get("tie_word_embeddings", False)
        return LlamaPass(x @ self._weight("model.embed_tokens.weight" if tied else "lm_head.weight").T, (*hidden, x))

    def _attention(self, x: FloatArray, name: str, visible: Any, positions: IntArray) -> FloatArray:
        heads = self.config["num_attention_heads"]
        groups = self.config.get("num_key_value_heads") or heads
        q, k = (
            self._turned(self._headed(x, f"{name}.{part}", count), positions)
            for part, count in (("q", heads), ("k", groups))
        )
        v = self._headed(x, f"{name}.v", groups)
        k, v = (np.repeat(values, heads // groups, axis=1) for values in (k, v))  # heads of a group share them
        scores = np.where(visible, q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]), np.finfo(np.float64).min)
        mixed = (softmax(scores) @ v).swapaxes(1, 2)
        return self._linear(mixed.reshape(*x.shape[:2], -1), f"{name}.o_proj")

    def _headed(self, x: FloatArray, name: str, heads: int) -> FloatArray:
        """Return queries, keys or values as (B, n, L, d), normalised per head where the weights say so."""
        values = self._linear(x, f"{name}_proj").reshape(*x.shape[:2], heads, -1)
        if f"{name}_norm.weight" in self.weights:
            values = self._normalised(values, f"{name}_norm")
        return values.swapaxes(1, 2)

    def _turned(self, x: FloatArray, positions: IntArray) -> FloatArray:
        """Turn each pair of numbers, half a head apart, by an angle that grows with the position."""
        half = x.shape[-1] // 2
        speeds = 1 / self.config.get("rope_theta", 10000.0) ** (np.arange(half) / half)
        scaling = self.config.get("rope_scaling")
        angles = positions[:, None, :, None] / (scaling["factor"] if scaling else 1.0) * speeds
        first, second = x[..., :half], x[..., half:]
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    def _feed_forward(self, x: FloatArray, name: str) -> FloatArray:
        act = ACTIVATIONS[self.config.get("hidden_act", "silu")]
        return self._linear(
            act(self._linear(x, f"{name}.gate_proj")) * self._linear(x, f"{name}.up_proj"), f"{name}.down_proj"
        )

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        bias = self.weights.get(f"{name}.bias")
        return x @ self._weight(f"{name}.weight").T + (0 if bias is None else np.asarray(bias, np.float64))

    def _normalised(self, x: FloatArray, name: str) -> FloatArray:
        return rms_norm(x, self.config.get("rms_norm_eps", 1e-6)) * self._weight(f"{name}.weight")

    def _weight(self, name: str) -> FloatArray:
        return np.asarray(self.weights[name], np.float64)


def rms_norm(x: FloatArray, epsilon: float) -> FloatArray:
    """Return `x` with root mean square 1 along the last axis, `epsilon` added to the mean (arXiv:1910.07467)."""
    return np.asarray(x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon))
