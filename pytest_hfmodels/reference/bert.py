"""BERT's forward pass in NumPy, float64, with its classifier.

Devlin et al. 2018, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding".
Shapes: B rows of a batch, L tokens, C channels, K labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.gpt2 import ACTIVATIONS, layer_norm, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_hfmodels.reference.search import FloatArray, IntArray


@dataclass(frozen=True)
class BertPass:
    """The outputs of one forward pass.

    Args:
        logits: (B, K).
        pooled: the first token's output behind the pooler, (B, C).
        hidden_states: the input of each block, and the output of the last, (B, L, C) each.
    """

    logits: FloatArray
    pooled: FloatArray
    hidden_states: tuple[FloatArray, ...]


@dataclass(frozen=True)
class Bert:
    """A BERT that classifies.

    Args:
        config: the fields of `config.json`. It reads `num_hidden_layers`, `num_attention_heads`, `hidden_act` and
            `layer_norm_eps`.
        weights: by upstream's names.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Any] = field(repr=False)

    def forward(self, ids: IntArray, mask: IntArray | None = None, *, token_types: IntArray | None = None) -> BertPass:
        """Read a batch.

        Args:
            ids: (B, L).
            mask: (B, L), 1 where a token counts. The outputs at other tokens are undefined.
            token_types: (B, L); 0 by default.
        """
        types = np.zeros_like(ids) if token_types is None else token_types
        x = self._embedding("word", ids) + self._embedding("position", np.arange(ids.shape[1])[None])
        x = self._normalised(x + self._embedding("token_type", types), "bert.embeddings.LayerNorm")
        hidden = [x]
        for layer in range(self.config["num_hidden_layers"]):
            x = self._block(x, f"bert.encoder.layer.{layer}", mask)
            hidden.append(x)
        pooled = np.tanh(self._linear(x[:, 0], "bert.pooler.dense"))
        return BertPass(self._linear(pooled, "classifier"), pooled, tuple(hidden))

    def _block(self, x: FloatArray, name: str, mask: IntArray | None) -> FloatArray:
        q, k, v = (self._heads(self._linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = np.where(mask[:, None, None, :] == 1, scores, np.finfo(np.float64).min)
        mixed = (softmax(scores) @ v).swapaxes(1, 2).reshape(x.shape)
        x = self._normalised(
            x + self._linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm"
        )
        inner = ACTIVATIONS[self.config.get("hidden_act", "gelu")](self._linear(x, f"{name}.intermediate.dense"))
        return self._normalised(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _heads(self, values: FloatArray) -> FloatArray:
        return values.reshape(*values.shape[:2], self.config["num_attention_heads"], -1).swapaxes(1, 2)

    def _embedding(self, name: str, ids: IntArray) -> FloatArray:
        found: FloatArray = self._weight(f"bert.embeddings.{name}_embeddings.weight")[ids]
        return found

    def _linear(self, x: FloatArray, name: str) -> FloatArray:
        return x @ self._weight(f"{name}.weight").T + self._weight(f"{name}.bias")

    def _normalised(self, x: FloatArray, name: str) -> FloatArray:
        epsilon = self.config.get("layer_norm_eps", 1e-12)
        return layer_norm(x, epsilon) * self._weight(f"{name}.weight") + self._weight(f"{name}.bias")

    def _weight(self, name: str) -> FloatArray:
        return np.asarray(self.weights[name], np.float64)
