"""The outputs of the models, by upstream's names. For the models, inside this folder.

`mems` is the next segment's memory, (M, B, C) a layer, or None without memory. On request, `hidden_states` holds the
input of each layer and the output of the last, (B, L, C) each, and `attentions` each layer's weights, (B, n, L, M + L).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers.utils import ModelOutput

if TYPE_CHECKING:
    import torch


@dataclass
class TransfoXLModelOutput(ModelOutput):  # type: ignore[misc] # transformers has no types
    """The layers' output; `last_hidden_state` is (B, L, C)."""

    last_hidden_state: torch.Tensor | None = None
    mems: list[torch.Tensor] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class TransfoXLLMHeadModelOutput(ModelOutput):  # type: ignore[misc] # transformers has no types
    """The language model's output.

    Args:
        losses: negative log-probability of each label but the first of a row, (B, L - 1), where labels were given;
            in the order of `AdaptiveSoftmax.losses`, which is not the reading order.
        prediction_scores: log-probabilities of the next word, (B, L, V); empty where labels were given.
        mems: see the module.
        hidden_states: see the module.
        attentions: see the module.
        loss: mean of the losses that are not 0, where labels were given.
    """

    losses: torch.Tensor | None = None
    prediction_scores: torch.Tensor | tuple[()] | None = None
    mems: list[torch.Tensor] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    loss: torch.Tensor | None = None

    @property
    def logits(self) -> torch.Tensor | tuple[()] | None:
        """The log-probabilities: normalised logits, by the name that `generate` reads."""
        return self.prediction_scores


@dataclass
class TransfoXLSequenceClassifierOutput(ModelOutput):  # type: ignore[misc] # transformers has no types
    """The classifier's output: `logits` is (B, num_labels), `loss` their mean loss where labels were given."""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    mems: list[torch.Tensor] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
