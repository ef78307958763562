"""Relative positional attention (Dai et al. 2019, section 3.3), line by line.

For `layer`, inside this folder. Shapes: B rows of a batch, L words of a segment, M of memory, K = M + L, C channels,
n heads of d channels; i runs over queries and j over keys, as in the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig


class PositionalEncoding(nn.Module):
    """The sinusoids R of the distance between two words; nothing in it is learned.

    Args:
        d_model: C, even.
    """

    inv_freq: torch.Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model
        # Published checkpoints hold it.
        self.register_buffer("inv_freq", self.frequencies())

    def frequencies(self) -> torch.Tensor:
        """Return the angular frequencies, (C / 2,), in the default dtype."""
        return 1 / 10000 ** (torch.arange(0.0, self.d_model, 2.0) / self.d_model)

    def forward(self, distance: torch.Tensor) -> torch.Tensor:
        """Return R for `distance` (K,): (K, C)."""
        angle = torch.outer(distance, self.inv_freq)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class RelativeAttention(nn.Module):
    """Multi-head attention whose scores depend on content and on distance, never on absolute position.

    The parameters' names are those of published checkpoints: `qkv_net` holds W_q, W_k,E and W_v, `r_net` is W_k,R,
    `r_w_bias` is u and `r_r_bias` is v.

    Args:
        config: for the widths, the dropouts and the layer normalisation.
        biases: u and v, (n, d) each, where all layers share theirs; None for a layer's own.
    """

    def __init__(self, config: TransfoXLConfig, biases: tuple[nn.Parameter, nn.Parameter] | None) -> None:
        super().__init__()
        self.n_head, self.d_head, self.pre_lnorm = config.n_head, config.d_head, config.pre_lnorm
        d_model, n_head, d_head = config.d_model, config.n_head, config.d_head
        self.qkv_net = nn.Linear(d_model, 3 * n_head * d_head, bias=False)
        self.r_net = nn.Linear(d_model, n_head * d_head, bias=False)
        self.o_net = nn.Linear(n_head * d_head, d_model, bias=False)
        self.layer_norm = nn.LayerNorm(d_model, eps=config.layer_norm_epsilon)
        self.drop = nn.Dropout(config.dropout)
        self.dropatt = nn.Dropout(config.dropatt)
        self.r_w_bias, self.r_r_bias = biases or (new_bias(n_head, d_head), new_bias(n_head, d_head))

    def forward(
        self,
        h: torch.Tensor,
        position: torch.Tensor,
        memory: torch.Tensor | None,
        unseen: torch.Tensor,
        head_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what leaves the sublayer, (B, L, C), and the attention weights, (B, n, L, K).

        Args:
            h: what enters, (B, L, C).
            position: R for the distances K - 1 ... 0, (K, C).
            memory: what entered this layer before, (M, B, C).
            unseen: see `memory.unseen`, (L, K).
            head_mask: factor of each head's weights, (n,).
        """
        # h~ = [SG(m) o h]: keys and values see the memory, queries do not.
        extended = h if memory is None else torch.cat([memory.transpose(0, 1), h], dim=1)
        q, k, v = self._project(self.layer_norm(extended) if self.pre_lnorm else extended, h.shape[1])
        r = self.r_net(position).view(-1, self.n_head, self.d_head)

        # A_ij = (q_i + u) . k_j + (q_i + v) . W_k,R R_(i-j)
        content = torch.einsum("bind,bjnd->bnij", q + self.r_w_bias, k)
        distance = torch.einsum("bind,jnd->bnij", q + self.r_r_bias, r)
        score = content.add_(relative_shift(distance)).div_(self.d_head**0.5)
        # The lowest number and not -inf: where all is unseen, the softmax is uniform and not NaN.
        weights = score.masked_fill_(unseen, torch.finfo(score.dtype).min).softmax(dim=-1)
        weights = self.dropatt(weights)
        if head_mask is not None:
            weights = weights * head_mask[:, None, None]

        a = torch.einsum("bnij,bjnd->bind", weights, v).flatten(2)
        o = h + self.drop(self.o_net(a))
        return (o if self.pre_lnorm else self.layer_norm(o)), weights

    def _project(self, extended: torch.Tensor, length: int) -> tuple[torch.Tensor, ...]:
        heads = self.qkv_net(extended).unflatten(-1, (3, self.n_head, self.d_head))
        q, k, v = heads.unbind(dim=2)
        return q[:, -length:], k, v


def new_bias(n_head: int, d_head: int) -> nn.Parameter:
    """Return an empty parameter for u or v, (n, d), to be initialised or loaded."""
    return nn.Parameter(torch.empty(n_head, d_head))


def relative_shift(score: torch.Tensor) -> torch.Tensor:
    """Move row i left by L - 1 - i, so that column j holds the score of distance i - j (appendix B).

    The numbers stay where they are: each row is read from K - 1 numbers after where the row before it was. What comes
    to stand right of distance 0 is the next row's, and belongs to words that are unseen.

    Args:
        score: column j for distance K - 1 - j, (B, n, L, K).
    """
    length, keys = score.shape[2:]
    if length == 1:
        return score
    return score.flatten(2)[..., length - 1 :].unfold(-1, keys, keys - 1)
