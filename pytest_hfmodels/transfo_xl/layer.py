"""One Transformer-XL layer: relative attention, then the position-wise feed-forward (Dai et al. 2019, section 3.3).

For `model`, inside this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from pytest_hfmodels.transfo_xl.attention import RelativeAttention

if TYPE_CHECKING:
    import torch

    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig


class FeedForward(nn.Module):
    """The position-wise feed-forward, with its residual and normalisation.

    Args:
        config: for `d_model`, `d_inner`, `dropout`, `pre_lnorm` and `layer_norm_epsilon`.
    """

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__()
        self.pre_lnorm = config.pre_lnorm
        # `CoreNet.0` and `CoreNet.3` are the names in published checkpoints.
        self.CoreNet = nn.Sequential(
            nn.Linear(config.d_model, config.d_inner),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.Linear(config.d_inner, config.d_model),
            nn.Dropout(config.dropout),
        )
        self.layer_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    def forward(self, o: torch.Tensor) -> torch.Tensor:
        """Return what leaves the sublayer for `o`, both (B, L, C)."""
        left: torch.Tensor = o + self.CoreNet(self.layer_norm(o) if self.pre_lnorm else o)
        return left if self.pre_lnorm else self.layer_norm(left)


class Layer(nn.Module):
    """One layer.

    Args:
        config: all but the number of layers.
        biases: u and v where all layers share them, else None.
    """

    def __init__(self, config: TransfoXLConfig, biases: tuple[nn.Parameter, nn.Parameter] | None) -> None:
        super().__init__()
        self.dec_attn = RelativeAttention(config, biases)
        self.pos_ff = FeedForward(config)

    def forward(
        self,
        h: torch.Tensor,
        position: torch.Tensor,
        memory: torch.Tensor | None,
        unseen: torch.Tensor,
        head_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next layer's h, (B, L, C), and the attention weights; see `RelativeAttention.forward`."""
        o, weights = self.dec_attn(h, position, memory, unseen, head_mask)
        return self.pos_ff(o), weights
