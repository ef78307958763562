"""Transformer-XL's forward pass in NumPy, float64, for each pair of words, without the relative shift.

Dai et al. 2019 (arXiv:1901.02860), with the adaptive embedding of Baevski and Auli 2018 (arXiv:1809.10853) and the
adaptive softmax of Grave et al. 2016 (arXiv:1609.04309). Shapes: B rows, L words of a segment, M of memory, K = M + L,
V vocabulary entries, C channels, n heads of d channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.reference.gpt2 import layer_norm, softmax

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.reference.search import FloatArray, IntArray


@dataclass(frozen=True)
class TransfoXLPass:
    """The outputs for one segment.

    Args:
        log_probabilities: of the next word, (B, L, V).
        hidden_states: the input of each layer, and the output of the last, (B, L, C) each.
        attentions: each layer's attention weights, (B, n, L, K).
        mems: the memory for the next segment, (M, B, C) a layer.
    """

    log_probabilities: FloatArray
    hidden_states: tuple[FloatArray, ...]
    attentions: tuple[FloatArray, ...]
    mems: tuple[FloatArray, ...]


@dataclass(frozen=True)
class TransfoXL:
    """A Transformer-XL language model.

    Args:
        config: the fields of `config.json`. It reads `vocab_size`, `cutoffs`, `d_model`, `d_embed`, `n_head`, `d_head`,
            `n_layer`, `div_val`, `pre_lnorm`, `mem_len`, `clamp_len`, `same_length`, `untie_r`, `tie_projs` (or
            `proj_share_all_but_first`), `tie_word_embeddings` and `layer_norm_epsilon`.
        weights: by upstream's names. Tied weights are read from the embedding.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, Any] = field(repr=False)

    def forward(
        self,
        ids: IntArray,
        mems: Sequence[FloatArray] | None = None,
        *,
        embedded: FloatArray | None = None,
        head_mask: FloatArray | None = None,
    ) -> TransfoXLPass:
        """Read one segment.

        Args:
            ids: (B, L).
            mems: the memory of the segment before; by default `mem_len` words of zeros, which are attended to.
            embedded: vectors instead of words, (B, L, C).
            head_mask: factors of the heads' weights, (n,) or (layers, n).
        """
        h = self._embedded(ids) if embedded is None else np.asarray(embedded, np.float64)
        layers, memory_length = self.config["n_layer"], max(self.config["mem_len"], 0)
        if mems is None:
            mems = [np.zeros((memory_length, len(h), self.config["d_model"]))] * layers
        factors = np.ones((layers, self.config["n_head"])) * (1 if head_mask is None else head_mask)
        hidden, attentions = [], []
        for layer in range(layers):
            hidden.append(h)
            h, weights = self._attention(h, np.swapaxes(mems[layer], 0, 1), layer, factors[layer])
            h = self._feed_forward(h, f"layers.{layer}.pos_ff")
            attentions.append(weights)
        words = (np.concatenate([old, new.swapaxes(0, 1)]) for old, new in zip(mems, hidden, strict=True))
        kept = tuple(known[len(known) - min(memory_length, len(known)) :] for known in words)
        return TransfoXLPass(self._log_probabilities(h), (*hidden, h), tuple(attentions), kept)

    @property
    def _clusters(self) -> list[tuple[int, int]]:
        return list(pairwise([0, *self.config["cutoffs"], self.config["vocab_size"]]))

    def _embedded(self, ids: IntArray) -> FloatArray:
        tables = [
            self._projected(
                self._table("transformer.word_emb.emb_layers", index), "transformer.word_emb.emb_projs", index
            )
            for index in range(len(self._clusters))
        ]
        return np.asarray(np.concatenate(tables)[ids] * self.config["d_model"] ** 0.5)

    def _attention(
        self, h: FloatArray, memory: FloatArray, layer: int, factors: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        name = f"transformer.layers.{layer}.dec_attn"
        length, keys = h.shape[1], memory.shape[1] + h.shape[1]
        extended = np.concatenate([memory, h], axis=1)
        entering = self._normalised(extended, f"{name}.layer_norm") if self.config["pre_lnorm"] else extended
        shape = (len(h), keys, 3, self.config["n_head"], self.config["d_head"])
        q, k, v = np.moveaxis((entering @ self._weight(f"{name}.qkv_net.weight").T).reshape(shape), 2, 0)
        q = q[:, -length:]

        distance = np.arange(keys - length, keys)[:, None] - np.arange(keys)[None]  # of query i and key j, (L, K)
        r = self._positions(distance) @ self._weight(f"{name}.r_net.weight").T
        r = r.reshape(length, keys, *shape[3:])
        own = name if self.config["untie_r"] else "transformer"
        u, v_bias = self._weight(f"{own}.r_w_bias"), self._weight(f"{own}.r_r_bias")
        content = np.einsum("bind,bjnd->bnij", q + u, k)
        scores = (content + np.einsum("bind,ijnd->bnij", q + v_bias, r)) / self.config["d_head"] ** 0.5

        unseen = distance < 0
        if self.config["same_length"]:
            unseen = unseen | (distance >= self.config["mem_len"])
        weights = softmax(np.where(unseen, np.finfo(np.float64).min, scores)) * factors[:, None, None]
        mixed = np.einsum("bnij,bjnd->bind", weights, v).reshape(*h.shape[:2], -1)
        left = h + mixed @ self._weight(f"{name}.o_net.weight").T
        return (left if self.config["pre_lnorm"] else self._normalised(left, f"{name}.layer_norm")), weights

    def _positions(self, distance: IntArray) -> FloatArray:
        """Return the sinusoids of each distance, (..., C)."""
        if self.config["clamp_len"] > 0:
            distance = np.minimum(distance, self.config["clamp_len"])
        width = self.config["d_model"]
        angles = distance[..., None] / 10000 ** (np.arange(0, width, 2) / width)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)

    def _feed_forward(self, x: FloatArray, name: str) -> FloatArray:
        name = f"transformer.{name}"
        entering = self._normalised(x, f"{name}.layer_norm") if self.config["pre_lnorm"] else x
        inner = entering @ self._weight(f"{name}.CoreNet.0.weight").T + self._weight(f"{name}.CoreNet.0.bias")
        left = x + np.maximum(inner, 0) @ self._weight(f"{name}.CoreNet.3.weight").T
        left = left + self._weight(f"{name}.CoreNet.3.bias")
        return left if self.config["pre_lnorm"] else self._normalised(left, f"{name}.layer_norm")

    def _log_probabilities(self, h: FloatArray) -> FloatArray:
        """Return the log-probabilities of the frequent words and clusters, then those of the words in the clusters."""
        tied = self.config.get("tie_word_embeddings", True)
        tables = "transformer.word_emb.emb_layers" if tied else "crit.out_layers"
        scores = []
        for index in range(len(self._clusters)):
            narrow = h @ self._softmax_projection(index) if self._projects else h
            scores.append(narrow @ self._table(tables, index).T + self._bias(index))
            if index == 0 and len(self._clusters) > 1:
                clusters = narrow @ self._weight("crit.cluster_weight").T + self._weight("crit.cluster_bias")
                scores[0] = np.concatenate([scores[0], clusters], axis=-1)
        first, *rare = (log_softmax(values) for values in scores)
        frequent = self._clusters[0][1]
        within = [first[..., frequent + index, None] + values for index, values in enumerate(rare)]
        return np.concatenate([first[..., :frequent], *within], axis=-1)

    @property
    def _projects(self) -> bool:
        return bool(self.config["div_val"] != 1 or self.config["d_model"] != self.config["d_embed"])

    def _table(self, name: str, index: int) -> FloatArray:
        """Return a cluster's word vectors: its own table, or rows of the common one if all are equally wide."""
        if self.config["div_val"] != 1:
            return self._weight(f"{name}.{index}.weight")
        start, end = self._clusters[index]
        return self._weight(f"{name}.0.weight")[start:end]

    def _bias(self, index: int) -> FloatArray:
        if self.config["div_val"] != 1:
            return self._weight(f"crit.out_layers.{index}.bias")
        start, end = self._clusters[index]
        return self._weight("crit.out_layers.0.bias")[start:end]

    def _projected(self, vectors: FloatArray, name: str, index: int) -> FloatArray:
        if not self._projects:
            return vectors
        return vectors @ self._weight(f"{name}.{index if self.config['div_val'] != 1 else 0}").T

    def _softmax_projection(self, index: int) -> FloatArray:
        shared = [False] + [self.config.get("proj_share_all_but_first", True)] * len(self.config["cutoffs"])
        if self.config.get("tie_projs", shared)[index]:
            return self._weight(f"transformer.word_emb.emb_projs.{index if self.config['div_val'] != 1 else 0}")
        return self._weight(f"crit.out_projs.{index}")

    def _normalised(self, x: FloatArray, name: str) -> FloatArray:
        normal = layer_norm(x, self.config["layer_norm_epsilon"])
        return normal * self._weight(f"{name}.weight") + self._weight(f"{name}.bias")

    def _weight(self, name: str) -> FloatArray:
        return np.asarray(self.weights[name], np.float64)


def log_softmax(scores: FloatArray) -> FloatArray:
    """Return log-probabilities along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))
