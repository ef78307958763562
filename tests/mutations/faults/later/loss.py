"""Losses of language models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@fault(
    "The language model's loss is computed in the model's own precision: in half precision it is rounded.",
    reference="huggingface/transformers#38452",
    shown_by=lambda: _loss_in_half_precision(),
)
def loss_not_in_float32() -> AbstractContextManager[None]:
    return edited(
        "transformers.loss.loss_utils:ForCausalLMLoss", ("logits = logits.float()", "logits = logits.contiguous()")
    )


@fault(
    "Transformer-XL gives its first text a label for the end where the last label is ignored, and not where all are.",
    reference="huggingface/transformers#14568",
    shown_by=lambda: observe.transfo_xl(labels=[(7, 3, 9, 3, -100, -100), (5, 4, 5, 10, 2, 8)]),
)
def transfo_xl_padded_first_row_gets_an_end() -> AbstractContextManager[None]:
    return edited(
        "pytest_hfmodels.transfo_xl.heads:TransfoXLLMHeadModel._scores_and_losses",
        ("(labels[0] == IGNORED_LABEL).all()", "(labels[0, -1] == IGNORED_LABEL).all()"),
    )


def _loss_in_half_precision() -> object:
    import torch

    ids = torch.tensor(observe.PROMPTS)
    with torch.no_grad():
        return observe.plain(observe.gpt2().to(torch.bfloat16)(ids, labels=ids).loss.float())
