"""What the models return, by upstream's names. For the models, inside this room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transformers.utils import ModelOutput

if TYPE_CHECKING:
    import torch


@dataclass
class TransfoXLModelOutput(ModelOutput):  # type: ignore[misc] # transformers has no types
    """What the layers make of a segment.

    Args:
        last_hidden_state: (B, L, C).
        mems: the next segment's memory, (M, B, C) a layer; None without memory.
        hidden_states: what entered each layer and what left the last, (B, L, C) each, where asked for.
        attentions: each layer's attention weights, (B, n, L, M + L), where asked for.
    """

    last_hidden_state: torch.Tensor | None = None
    mems: list[torch.Tensor] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class TransfoXLLMHeadModelOutput(ModelOutput):  # type: ignore[misc] # transformers has no types
    """What the language model says about a segment.

    Args:
        losses: negative log-probability of each label but the first of a row, (B, L - 1), where labels were given;
            in the order of `AdaptiveSoftmax.losses`, which is not the reading order.
        prediction_scores: log-probabilities of the next word, (B, L, V); empty where labels were given.
        mems: see `TransfoXLModelOutput`.
        hidden_states: see `TransfoXLModelOutput`.
        attentions: see `TransfoXLModelOutput`.
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
    """What the classifier says about each text.

    Args:
        loss: mean loss, where labels were given.
        logits: (B, num_labels).
        mems: see `TransfoXLModelOutput`.
        hidden_states: see `TransfoXLModelOutput`.
        attentions: see `TransfoXLModelOutput`.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    mems: list[torch.Tensor] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
