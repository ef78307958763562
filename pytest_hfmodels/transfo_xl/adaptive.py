"""Adaptive embedding (Baevski and Auli 2018, arXiv:1809.10853) and softmax (Grave et al. 2016, arXiv:1609.04309).

For the models, inside this folder. The vocabulary is sorted by frequency and cut into clusters: rare words have
narrower vectors, and the softmax first chooses a frequent word or a cluster, then a word of that cluster.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig

IGNORED_LABEL = -100


class AdaptiveEmbedding(nn.Module):
    """Word vectors, projected to the model's width and scaled by its square root.

    Args:
        config: for `vocab_size`, `cutoffs`, `d_embed`, `d_model` and `div_val`. With `div_val=1` all vectors are
            equally wide and in one table.
    """

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__()
        self.clusters, self.d_model = _clusters(config), config.d_model
        tables = [(0, config.vocab_size)] if config.div_val == 1 else self.clusters
        widths = [config.d_embed // config.div_val**index for index in range(len(tables))]
        self.emb_layers = nn.ModuleList(
            nn.Embedding(end - start, width) for (start, end), width in zip(tables, widths, strict=True)
        )
        projected = config.div_val != 1 or config.d_model != config.d_embed
        self.emb_projs = nn.ParameterList(_new_projection(config.d_model, width) for width in widths if projected)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the vectors of `ids` (B, L) int64: (B, L, C).

        With several tables an id outside the vocabulary has a vector of zeros, as in upstream's; with one table it
        is torch's IndexError.
        """
        if len(self.emb_layers) == 1:
            vectors = self._look_up(0, ids)
        else:
            vectors = self.emb_projs[0].new_zeros((*ids.shape, self.d_model))
            for index, (start, end) in enumerate(self.clusters):
                members = (ids >= start) & (ids < end)
                if members.any():
                    vectors[members] = self._look_up(index, ids[members] - start)
        scale: float = self.d_model**0.5
        return vectors * scale

    def _look_up(self, index: int, ids: torch.Tensor) -> torch.Tensor:
        narrow: torch.Tensor = self.emb_layers[index](ids)
        return nn.functional.linear(narrow, self.emb_projs[index]) if len(self.emb_projs) else narrow


class AdaptiveSoftmax(nn.Module):
    """Log-probabilities of the next word.

    `out_layers` and `out_projs` mirror the embedding's tables and projections, to which `model` ties them.
    `cluster_weight` and `cluster_bias` score the clusters beside the words of the first.

    Args:
        config: as for `AdaptiveEmbedding`.
    """

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__()
        self.clusters, self.div_val = _clusters(config), config.div_val
        rare = len(self.clusters) - 1
        if rare:
            self.cluster_weight = nn.Parameter(torch.zeros(rare, config.d_embed))
            self.cluster_bias = nn.Parameter(torch.zeros(rare))
        widths = [config.d_embed // config.div_val**index for index in range(len(self.clusters))]
        tables = [(0, config.vocab_size)] if config.div_val == 1 else self.clusters
        self.out_layers = nn.ModuleList(
            nn.Linear(width, end - start) for (start, end), width in zip(tables, widths, strict=False)
        )
        projected = config.div_val != 1 or config.d_model != config.d_embed
        self.out_projs = nn.ParameterList(_new_projection(config.d_model, width) for width in widths if projected)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities (B, L, V) after `hidden` (B, L, C)."""
        head = self._head(hidden)
        rare = (
            self._of_cluster(head, index) + self._scores(hidden, index).log_softmax(dim=-1)
            for index in range(1, len(self.clusters))
        )
        return torch.cat([head[..., : self.clusters[0][1]], *rare], dim=-1)

    def losses(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return negative log-probabilities of `labels` after `hidden`, cluster by cluster.

        That is upstream's order: first the labels of cluster 0 in reading order, then those of cluster 1, ...; and 0
        for each ignored label, at the end. Without rare clusters it is the reading order. A mean does not notice.

        Args:
            hidden: (N, C).
            labels: (N,) int64; -100 is ignored, and with clusters so is any other number outside the vocabulary.
        """
        losses = torch.zeros_like(labels, dtype=hidden.dtype)
        if len(self.clusters) == 1:
            kept = labels != IGNORED_LABEL
            losses[kept] = -self._head(hidden[kept]).gather(1, labels[kept, None]).squeeze(1)
            return losses
        by_cluster = torch.cat(list(self._losses_by_cluster(hidden, labels)))
        losses[: by_cluster.shape[0]] = by_cluster
        return losses

    def _losses_by_cluster(self, hidden: torch.Tensor, labels: torch.Tensor) -> Iterator[torch.Tensor]:
        head = self._head(hidden)
        for index, (start, end) in enumerate(self.clusters):
            members = (labels >= start) & (labels < end)
            word = labels[members] - start
            if index == 0:
                yield -head[members, word]
            else:
                rest = self._scores(hidden[members], index).log_softmax(dim=-1)
                yield -(self._of_cluster(head, index)[members] + rest.gather(1, word[:, None])).squeeze(1)

    def _head(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities of the first cluster's words, then of the other clusters."""
        return self._scores(hidden, 0).log_softmax(dim=-1)

    def _of_cluster(self, head: torch.Tensor, index: int) -> torch.Tensor:
        column = self.clusters[0][1] + index - 1
        return head[..., column : column + 1]

    def _scores(self, hidden: torch.Tensor, index: int) -> torch.Tensor:
        if len(self.out_projs):
            hidden = nn.functional.linear(hidden, self.out_projs[index].t())
        scores = nn.functional.linear(hidden, *self._table(index))
        if index > 0 or len(self.clusters) == 1:
            return scores
        return torch.cat([scores, nn.functional.linear(hidden, self.cluster_weight, self.cluster_bias)], dim=-1)

    def _table(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        layer = self.out_layers[index if self.div_val != 1 else 0]
        assert isinstance(layer, nn.Linear)
        if self.div_val != 1:
            return layer.weight, layer.bias
        start, end = self.clusters[index]
        return layer.weight[start:end], layer.bias[start:end]


def _clusters(config: TransfoXLConfig) -> list[tuple[int, int]]:
    return list(pairwise([0, *config.cutoffs, config.vocab_size]))


def _new_projection(d_model: int, width: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(d_model, width))
