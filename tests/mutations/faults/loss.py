"""Losses of language models and classifiers."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

LOSS = "transformers.loss.loss_utils"
CLASSIFY = "transformers.models.gpt2.modeling_gpt2:GPT2ForSequenceClassification.forward"
TRANSFO_XL = "pytest_hfmodels.transfo_xl.heads:TransfoXLLMHeadModel._scores_and_losses"
IGNORING = ((7, 3, -100, 3), (-100, 5, 4, 5), (-100, -100, 8, 2))
ROWS = [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]

FAULTS = (
    Fault(
        "labels-shifted-twice",
        "The language model's labels are shifted twice: the loss is for the token after the next.",
        reference="huggingface/transformers#47395",
        shown_by=observe.loss,
        patch=lambda: edited(f"{LOSS}:ForCausalLMLoss", ("(0, 1)", "(0, 2)"), ("labels[..., 1:]", "labels[..., 2:]")),
    ),
    Fault(
        "labels-not-shifted",
        "The language model's labels are not shifted: the loss is for the token that it reads.",
        reference="huggingface/transformers#35066",
        shown_by=observe.loss,
        patch=lambda: edited(f"{LOSS}:ForCausalLMLoss", ("labels[..., 1:]", "labels[..., :-1]")),
    ),
    Fault(
        "ignored-labels-counted-in-the-mean",
        "The mean also counts ignored labels, so padding makes a loss smaller.",
        reference="huggingface/transformers#46204",
        shown_by=lambda: observe.loss(IGNORING),
        patch=lambda: edited(
            f"{LOSS}:fixed_cross_entropy",
            (
                "nn.functional.cross_entropy(source, target, ignore_index=ignore_index, reduction=reduction)",
                'nn.functional.cross_entropy(source, target, ignore_index=ignore_index, reduction="sum")\n'
                '    loss = loss / target.numel() if reduction == "mean" else loss',
            ),
        ),
    ),
    Fault(
        "items-in-batch-ignored",
        "num_items_in_batch is ignored: each part of an accumulated batch weighs the same.",
        reference="huggingface/transformers#35438",
        shown_by=lambda: observe.loss(num_items_in_batch=20),
        patch=lambda: edited(
            f"{LOSS}:fixed_cross_entropy", ('"sum" if num_items_in_batch is not None else "mean"', '"mean"')
        ),
    ),
    Fault(
        "problem-type-of-the-config-ignored",
        "The classifier infers the problem type from the labels even if the configuration names it.",
        reference="huggingface/transformers#13370",
        shown_by=lambda: observe.classified(labels=ROWS, problem_type="regression"),
        patch=lambda: edited(CLASSIFY, ("if self.config.problem_type is None:", "if self.config.problem_type != 0:")),
    ),
    Fault(
        "multi-label-loss-summed",
        "The multi-label loss is summed over labels and texts.",
        reference="huggingface/transformers#13370",
        shown_by=lambda: observe.classified(labels=ROWS),
        patch=lambda: edited(CLASSIFY, ("BCEWithLogitsLoss()", 'BCEWithLogitsLoss(reduction="sum")')),
    ),
    Fault(
        "regression-broadcasts",
        "Regression with one label compares every logit with every label of the batch.",
        reference="huggingface/transformers#11012",
        shown_by=lambda: observe.classified(labels=[0.1, 0.5, -0.3], num_labels=1),
        patch=lambda: edited(
            CLASSIFY, ("loss_fct(pooled_logits.squeeze(), labels.squeeze())", "loss_fct(pooled_logits, labels)")
        ),
    ),
    Fault(
        "int32-class-indices-refused",
        "Class indices in int32 are read as rows of several labels.",
        reference="huggingface/transformers#14180",
        shown_by=lambda: observe.classified(labels=[0, 1, 2], dtype="int32"),
        patch=lambda: edited(
            CLASSIFY, ("(labels.dtype == torch.long or labels.dtype == torch.int)", "labels.dtype == torch.long")
        ),
    ),
    Fault(
        "transfo-xl-labels-not-shifted",
        "Transformer-XL's labels are not shifted: the loss is for the word that it reads.",
        reference="huggingface/transformers#3711",
        shown_by=lambda: observe.transfo_xl(labels=[(7, 3, 9, 3, 11, 2), (5, 4, 5, 10, 2, 8)]),
        patch=lambda: edited(TRANSFO_XL, ("labels[:, 1:].clone()", "labels[:, :-1].clone()")),
    ),
    Fault(
        "transfo-xl-ignored-labels-counted",
        "Transformer-XL's mean counts ignored labels.",
        reference="huggingface/transformers#46335",
        shown_by=lambda: observe.transfo_xl(labels=[(7, 3, 9, -100, -100, 2), (5, 4, 5, 10, 2, 8)]),
        patch=lambda: edited(TRANSFO_XL, ("losses[losses != 0].mean()", "losses.mean()")),
    ),
    Fault(
        "loss-not-in-float32",
        "The language model's loss is computed in the model's own precision, so half precision rounds it.",
        reference="huggingface/transformers#38452",
        shown_by=lambda: _loss_in_half_precision(),
        patch=lambda: edited(f"{LOSS}:ForCausalLMLoss", ("logits.float()", "logits.contiguous()")),
        later=True,
    ),
    Fault(
        "transfo-xl-padded-first-row-gets-an-end",
        "Transformer-XL gives its first text a label for the end if its last label is ignored, instead of if all are.",
        reference="huggingface/transformers#14568",
        shown_by=lambda: observe.transfo_xl(labels=[(7, 3, 9, 3, -100, -100), (5, 4, 5, 10, 2, 8)]),
        patch=lambda: edited(
            TRANSFO_XL, ("(labels[0] == IGNORED_LABEL).all()", "(labels[0, -1] == IGNORED_LABEL).all()")
        ),
        later=True,
    ),
)


def _loss_in_half_precision() -> object:
    import torch

    ids = torch.tensor(observe.PROMPTS)
    with torch.no_grad():
        return observe.plain(observe.gpt2().to(torch.bfloat16)(ids, labels=ids).loss.float())
