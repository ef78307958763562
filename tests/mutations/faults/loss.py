"""Losses of language models and classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

LOSS = "transformers.loss.loss_utils"
CLASSIFY = "transformers.models.gpt2.modeling_gpt2:GPT2ForSequenceClassification.forward"
TRANSFO_XL = "pytest_hfmodels.transfo_xl.heads:TransfoXLLMHeadModel._scores_and_losses"
IGNORING = ((7, 3, -100, 3), (-100, 5, 4, 5), (-100, -100, 8, 2))
ROWS = [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]


@fault(
    "The language model's labels are shifted twice: it is asked for the token after the next.",
    reference="huggingface/transformers#47395",
    shown_by=lambda: observe.loss(),
)
def labels_shifted_twice() -> AbstractContextManager[None]:
    return edited(f"{LOSS}:ForCausalLMLoss", ("(0, 1)", "(0, 2)"), ("labels[..., 1:]", "labels[..., 2:]"))


@fault(
    "The language model's labels are not shifted: it is asked for the token it reads.",
    reference="huggingface/transformers#35066",
    shown_by=lambda: observe.loss(),
)
def labels_not_shifted() -> AbstractContextManager[None]:
    return edited(f"{LOSS}:ForCausalLMLoss", ("labels[..., 1:]", "labels[..., :-1]"))


@fault(
    "The mean is taken over ignored labels too, so that padding makes a loss smaller.",
    reference="huggingface/transformers#46204",
    shown_by=lambda: observe.loss(IGNORING),
)
def ignored_labels_counted_in_the_mean() -> AbstractContextManager[None]:
    return edited(
        f"{LOSS}:fixed_cross_entropy",
        (
            "nn.functional.cross_entropy(source, target, ignore_index=ignore_index, reduction=reduction)",
            'nn.functional.cross_entropy(source, target, ignore_index=ignore_index, reduction="sum")\n'
            '    loss = loss / target.numel() if reduction == "mean" else loss',
        ),
    )


@fault(
    "num_items_in_batch is ignored: each part of an accumulated batch weighs the same.",
    reference="huggingface/transformers#35438",
    shown_by=lambda: observe.loss(num_items_in_batch=20),
)
def items_in_batch_ignored() -> AbstractContextManager[None]:
    return edited(f"{LOSS}:fixed_cross_entropy", ('"sum" if num_items_in_batch is not None else "mean"', '"mean"'))


@fault(
    "The classifier infers the problem type from the labels even where the configuration names it.",
    reference="huggingface/transformers#13370",
    shown_by=lambda: observe.classified(labels=ROWS, problem_type="regression"),
)
def problem_type_of_the_config_ignored() -> AbstractContextManager[None]:
    return edited(CLASSIFY, ("if self.config.problem_type is None:", "if self.config.problem_type != 0:"))


@fault(
    "The multi-label loss is summed over labels and texts.",
    reference="huggingface/transformers#13370",
    shown_by=lambda: observe.classified(labels=ROWS),
)
def multi_label_loss_summed() -> AbstractContextManager[None]:
    return edited(CLASSIFY, ("BCEWithLogitsLoss()", 'BCEWithLogitsLoss(reduction="sum")'))


@fault(
    "Regression with one label holds every logit against every label of the batch.",
    reference="huggingface/transformers#11012",
    shown_by=lambda: observe.classified(labels=[0.1, 0.5, -0.3], num_labels=1),
)
def regression_broadcasts() -> AbstractContextManager[None]:
    return edited(CLASSIFY, ("loss_fct(pooled_logits.squeeze(), labels.squeeze())", "loss_fct(pooled_logits, labels)"))


@fault(
    "Class indices in int32 are taken for rows of several labels.",
    reference="huggingface/transformers#14180",
    shown_by=lambda: observe.classified(labels=[0, 1, 2], dtype="int32"),
)
def int32_class_indices_refused() -> AbstractContextManager[None]:
    return edited(CLASSIFY, ("(labels.dtype == torch.long or labels.dtype == torch.int)", "labels.dtype == torch.long"))


@fault(
    "Transformer-XL's labels are not shifted: it is asked for the word it reads.",
    reference="huggingface/transformers#3711",
    shown_by=lambda: observe.transfo_xl(labels=[(7, 3, 9, 3, 11, 2), (5, 4, 5, 10, 2, 8)]),
)
def transfo_xl_labels_not_shifted() -> AbstractContextManager[None]:
    return edited(TRANSFO_XL, ("labels[:, 1:].clone()", "labels[:, :-1].clone()"))


@fault(
    "Transformer-XL's mean counts ignored labels.",
    reference="huggingface/transformers#46335",
    shown_by=lambda: observe.transfo_xl(labels=[(7, 3, 9, -100, -100, 2), (5, 4, 5, 10, 2, 8)]),
)
def transfo_xl_ignored_labels_counted() -> AbstractContextManager[None]:
    return edited(TRANSFO_XL, ("losses[losses != 0].mean()", "losses.mean()"))
