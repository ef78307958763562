"""GPT-2's forward pass in NumPy, float64, with every switch of its configuration; no cache, no dropout.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", and the documented configuration.
Shapes: B rows of a batch, L tokens, V vocabulary entries, C channels, n heads of d channels, E encoder states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_hfmodels.reference.search import FloatArray, IntArray

ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "tanh": np.tanh,
    "gelu_new": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
}


@dataclass(frozen=True)
class GPT2Pass:
    """The outputs of one forward pass.

    Args:
        logits: (B, L, V).
        hidden_states: the input of each block, and the output of the last layer norm, (B, L, C) each.
        attentions: each block's attention weights, (B, n, L, L).
    """

    logits: FloatArray
    hidden_states: tuple[FloatArray, ...]
    attentions: tuple[FloatArray, ...]


@dataclass(frozen=True)
class GPT2:
    """A GPT-2 language model.

    Args:
        config: the fields of `config.json`. It reads `n_head`, `n_layer`, `activation_function`, `layer_norm_epsilon`,
            `scale_attn_weights`, `scale_attn_by_inverse_layer_idx`, `tie_word_embeddings` and `add_cross_attention`.
            `reorder_and_upcast_attn` changes numbers only by rounding; the weights have `n_inner` and the widths.
        weights: by upstream's names; those of Conv1D have the shape (in, out).
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Any] = field(repr=False)

    def forward(
        self,
        ids: IntArray | None = None,
        mask: IntArray | None = None,
        *,
        positions: IntArray | None = None,
        token_types: IntArray | None = None,
        embedded: FloatArray | None = None,
        head_mask: FloatArray | None = None,
        encoder_states: FloatArray | None = None,
        encoder_mask: IntArray | None = None,
    ) -> GPT2Pass:
        """Read a batch.

        Args:
            ids: (B, L); not with `embedded`.
            mask: (B, L), 1 where a token counts. The outputs at other tokens are undefined.
            positions: (B, L) or (1, L); by default they count from the row's start, padding included.
            token_types: (B, L) ids; their word vectors are added.
            embedded: vectors instead of words, (B, L, C).
            head_mask: factors of the heads' weights, (n,) or (layers, n).
            encoder_states: the states that cross-attention reads, (B, E, C).
            encoder_mask: (B, E), 1 where such a state counts.
        """
        words = self._weight("wte.weight")
        x = words[ids] if embedded is None else np.asarray(embedded, np.float64)
        length = x.shape[1]
        x = x + self._weight("wpe.weight")[np.arange(length)[None] if positions is None else positions]
        if token_types is not None:
            x = x + words[token_types]
        seen = np.tril(np.ones((length, length), bool))[None, None]
        if mask is not None:
            seen = seen & (mask[:, None, None, :] == 1)
        encoder_seen = None if encoder_mask is None else encoder_mask[:, None, None, :] == 1
        factors = np.ones((self.config["n_layer"], self.config["n_head"]))
        if head_mask is not None:
            factors = factors * head_mask

        hidden, attentions = [], []
        for layer in range(self.config["n_layer"]):
            hidden.append(x)
            a, weights = self._self_attention(self._normalised(x, f"h.{layer}.ln_1"), layer, seen, factors[layer])
            attentions.append(weights)
            x = x + a
            if encoder_states is not None:
                queries = self._normalised(x, f"h.{layer}.ln_cross_attn")
                x = x + self._cross_attention(queries, encoder_states, layer, encoder_seen)
            x = x + self._feed_forward(self._normalised(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp")
        x = self._normalised(x, "ln_f")
        head = words if self.config.get("tie_word_embeddings", True) else self._weight("lm_head.weight")
        return GPT2Pass(x @ head.T, (*hidden, x), tuple(attentions))

    def _self_attention(
        self, x: FloatArray, layer: int, seen: Any, factors: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        q, k, v = np.split(self._linear(x, f"h.{layer}.attn.c_attn"), 3, axis=-1)
        mixed, weights = self._attention(q, k, v, layer, seen, factors)
        return self._linear(mixed, f"h.{layer}.attn.c_proj"), weights

    def _cross_attention(self, x: FloatArray, states: FloatArray, layer: int, seen: Any) -> FloatArray:
        name = f"h.{layer}.crossattention"
        k, v = np.split(self._linear(np.asarray(states, np.float64), f"{name}.c_attn"), 2, axis=-1)
        mixed, _ = self._attention(self._linear(x, f"{name}.q_attn"), k, v, layer, seen, np.ones(self.config["n_head"]))
        return self._linear(mixed, f"{name}.c_proj")

    def _attention(
        self, q: FloatArray, k: FloatArray, v: FloatArray, layer: int, seen: Any, factors: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        q, k, v = (self._heads(values) for values in (q, k, v))
        scores = q @ k.swapaxes(-1, -2)
        if self.config.get("scale_attn_weights", True):
            scores = scores / math.sqrt(v.shape[-1])
        if self.config.get("scale_attn_by_inverse_layer_idx", False):
            scores = scores / (layer + 1)
        if seen is not None:
            scores = np.where(seen, scores, np.finfo(np.float64).min)  # not -inf: a row of padding sees nothing
        weights = softmax(scores) * factors[:, None, None]
        return (weights @ v).swapaxes(1, 2).reshape(*q.shape[:1], q.shape[2], -1), weights

    def _heads(self, values: FloatArray) -> FloatArray:
        return values.reshape(*values.shape[:2], self.config["n_head"], -1).swapaxes(1, 2)

    def _feed_forward(self, x: FloatArray, name: str) -> FloatArray:
        act = ACTIVATIONS[self.config.get("activation_function", "gelu_new")]
        return self._linear(act(self._linear(x, f"{name}.c_fc")), f"{name}.c_proj")

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        return x @ self._weight(f"{name}.weight") + self._weight(f"{name}.bias")

    def _normalised(self, x: FloatArray, name: str) -> FloatArray:
        epsilon = self.config.get("layer_norm_epsilon", 1e-5)
        return layer_norm(x, epsilon) * self._weight(f"{name}.weight") + self._weight(f"{name}.bias")

    def _weight(self, name: str) -> FloatArray:
        found = self.weights.get(f"transformer.{name}")
        return np.asarray(self.weights[name] if found is None else found, np.float64)


def layer_norm(x: FloatArray, epsilon: float) -> FloatArray:
    """Return `x` with mean 0 and variance 1 along the last axis, `epsilon` added to the variance (arXiv:1607.06450)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon))


def softmax(scores: FloatArray) -> FloatArray:
    """Return probabilities along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
