"""T5's forward pass in NumPy, float64: encoder and decoder with relative positions; no cache.

Raffel et al. 2019, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer".
Shapes: B rows of a batch, S tokens of the encoder, L of the decoder, V vocabulary entries, C channels, n heads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.gpt2 import ACTIVATIONS, softmax
from pytest_hfmodels.reference.llama import rms_norm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.reference.search import FloatArray, IntArray


@dataclass(frozen=True)
class T5Pass:
    """The outputs of one forward pass.

    Args:
        logits: (B, L, V).
        encoder_states: the encoder's output, (B, S, C).
    """

    logits: FloatArray
    encoder_states: FloatArray


@dataclass(frozen=True)
class T5:
    """A T5 that writes.

    Args:
        config: the fields of `config.json`. It reads `num_layers`, `num_decoder_layers`, `num_heads`, `d_model`,
            `relative_attention_num_buckets`, `relative_attention_max_distance`, `feed_forward_proj`,
            `layer_norm_epsilon` and `tie_word_embeddings`.
        weights: by upstream's names.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Any] = field(repr=False)

    def forward(self, ids: IntArray, decoder_ids: IntArray, mask: IntArray | None = None) -> T5Pass:
        """Read a batch, and the text written so far.

        Args:
            ids: (B, S).
            decoder_ids: (B, L).
            mask: (B, S), 1 where a token counts.
        """
        seen = np.ones((1, 1, 1, ids.shape[1]), bool) if mask is None else mask[:, None, None, :] == 1
        states = self._stack("encoder", ids, seen, None, None)
        length = decoder_ids.shape[1]
        x = self._stack("decoder", decoder_ids, np.tril(np.ones((length, length), bool)), states, seen)
        if not self.config.get("tie_word_embeddings", True):
            return T5Pass(x @ self._weight("lm_head.weight").T, states)
        return T5Pass(x / math.sqrt(self.config["d_model"]) @ self._weight("shared.weight").T, states)

    def _stack(self, side: str, ids: IntArray, visible: Any, states: FloatArray | None, states_seen: Any) -> FloatArray:
        own = self.weights.get(f"{side}.embed_tokens.weight")  # in files of models whose embeddings are not shared
        x = (self._weight("shared.weight") if own is None else np.asarray(own, np.float64))[ids]
        bias = self._bias(side, ids.shape[1])
        layers = self.config["num_layers"] if side == "encoder" else self.config["num_decoder_layers"]
        for layer in range(layers):
            block = f"{side}.block.{layer}.layer"
            normed = self._normalised(x, f"{block}.0.layer_norm")
            x = x + self._attention(normed, normed, f"{block}.0.SelfAttention", visible, bias)
            if states is not None:
                normed = self._normalised(x, f"{block}.1.layer_norm")
                x = x + self._attention(normed, states, f"{block}.1.EncDecAttention", states_seen, 0)
            last = f"{block}.{1 if states is None else 2}"
            x = x + self._feed_forward(self._normalised(x, f"{last}.layer_norm"), f"{last}.DenseReluDense")
        return self._normalised(x, f"{side}.final_layer_norm")

    def _attention(self, x: FloatArray, states: FloatArray, name: str, visible: Any, bias: Any) -> FloatArray:
        q, k, v = (self._heads(given, f"{name}.{part}") for given, part in ((x, "q"), (states, "k"), (states, "v")))
        scores = np.where(visible, q @ k.swapaxes(-1, -2) + bias, np.finfo(np.float64).min)  # not scaled by the width
        mixed = (softmax(scores) @ v).swapaxes(1, 2)
        return mixed.reshape(*x.shape[:2], -1) @ self._weight(f"{name}.o.weight").T

    def _heads(self, x: FloatArray, name: str) -> FloatArray:
        values = x @ self._weight(f"{name}.weight").T
        return values.reshape(*x.shape[:2], self.config["num_heads"], -1).swapaxes(1, 2)

    def _bias(self, side: str, length: int) -> FloatArray:
        """Return what each distance adds to the scores, (1, n, L, L); all blocks share the first block's table."""
        distances = np.arange(length)[None, :] - np.arange(length)[:, None]
        table = self._weight(f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
        return table[self._buckets(distances, both=side == "encoder")].transpose(2, 0, 1)[None]

    def _buckets(self, distances: IntArray, *, both: bool) -> IntArray:
        """Return the bucket of each distance: half of them exact, the others logarithmic; `both` directions apart."""
        count = self.config["relative_attention_num_buckets"] // (2 if both else 1)
        start = np.where(distances > 0, count, 0) if both else np.zeros_like(distances)
        far = np.abs(distances) if both else np.maximum(-distances, 0)
        exact = count // 2
        most = math.log(self.config.get("relative_attention_max_distance", 128) / exact)
        steps = np.log(np.maximum(far, 1) / exact) / most * (count - exact)
        wide = np.minimum(exact + steps.astype(np.int64), count - 1)
        return np.asarray(start + np.where(far < exact, far, wide), np.int64)

    def _feed_forward(self, x: FloatArray, name: str) -> FloatArray:
        kind = self.config.get("feed_forward_proj", "relu")
        act = ACTIVATIONS["gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")]
        if not kind.startswith("gated-"):
            return act(x @ self._weight(f"{name}.wi.weight").T) @ self._weight(f"{name}.wo.weight").T
        gate, inner = (x @ self._weight(f"{name}.wi_{part}.weight").T for part in (0, 1))
        return (act(gate) * inner) @ self._weight(f"{name}.wo.weight").T

    def _normalised(self, x: FloatArray, name: str) -> FloatArray:
        return rms_norm(x, self.config.get("layer_norm_epsilon", 1e-6)) * self._weight(f"{name}.weight")

    def _weight(self, name: str) -> FloatArray:
        return np.asarray(self.weights[name], np.float64)
