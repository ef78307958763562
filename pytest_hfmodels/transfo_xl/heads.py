"""Transformer-XL with a head: a language model, and a classifier of texts.

For `registration`, inside this folder; others take it from `pytest_hfmodels.transfo_xl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import GenerationMixin

from pytest_hfmodels.foundation.errors import CheckpointError
from pytest_hfmodels.transfo_xl.adaptive import IGNORED_LABEL, AdaptiveSoftmax
from pytest_hfmodels.transfo_xl.model import TransfoXLModel, TransfoXLPreTrainedModel
from pytest_hfmodels.transfo_xl.outputs import TransfoXLLMHeadModelOutput, TransfoXLSequenceClassifierOutput

if TYPE_CHECKING:
    from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig
    from pytest_hfmodels.transfo_xl.memory import Memory


_RETURN_ALSO = frozenset({"output_attentions", "output_hidden_states"})


# PreTrainedModel itself lost GenerationMixin in 4.50 (huggingface/transformers#37173).
class TransfoXLLMHeadModel(TransfoXLPreTrainedModel, GenerationMixin):  # type: ignore[misc] # it has no types
    """The language model: log-probabilities of the next word by an adaptive softmax, and generation with memory.

    Args:
        config: the settings. `tie_word_embeddings` ties the softmax's vectors to the embedding's; `tie_projs` says
            for each cluster whether its projection is tied too. With `trainer_compatible` a returned tuple starts
            with the loss.
    """

    _tied_weights_keys = {  # noqa: RUF012 - the parent's form
        r"transformer\.layers\.\d+\.dec_attn\.r_w_bias": r"transformer\.r_w_bias",
        r"transformer\.layers\.\d+\.dec_attn\.r_r_bias": r"transformer\.r_r_bias",
        r"crit\.out_layers\.\d+\.weight": r"transformer\.word_emb\.emb_layers\.\d+\.weight",
        r"crit\.out_projs\.\d+": r"transformer\.word_emb\.emb_projs\.\d+",
    }

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__(config)
        self.transformer = TransfoXLModel(config)
        self.crit = AdaptiveSoftmax(config)
        self.post_init()

    def tied_weights(self) -> dict[str, str]:
        """See `TransfoXLPreTrainedModel.tied_weights`."""
        embedding = "transformer.word_emb"
        names = super().tied_weights()
        if self.config.tie_word_embeddings:
            tables = range(len(self.crit.out_layers))
            names |= {f"crit.out_layers.{i}.weight": f"{embedding}.emb_layers.{i}.weight" for i in tables}
        one_projection = self.config.div_val == 1
        for i, (_, tied) in enumerate(zip(self.crit.out_projs, self.config.tie_projs, strict=False)):
            if tied:
                names[f"crit.out_projs.{i}"] = f"{embedding}.emb_projs.{0 if one_projection else i}"
        return names

    def get_output_embeddings(self) -> nn.Module:
        """Return the last cluster's table of the softmax."""
        return self.crit.out_layers[-1]

    def reset_memory_length(self, mem_len: int) -> None:
        """Remember `mem_len` words from now on."""
        self.transformer.reset_memory_length(mem_len)

    def init_mems(self, bsz: int) -> Memory | None:
        """See `TransfoXLModel.init_mems`."""
        return self.transformer.init_mems(bsz)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        mems: Memory | None = None,
        head_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> TransfoXLLMHeadModelOutput | tuple[Any, ...]:
        """Run one segment; see `TransfoXLModel.forward` for all but labels and tuples.

        `labels` are the words themselves, (B, L) int64: they are shifted here. -100 is ignored. Where the first row
        ignores all, upstream makes its second label `eos_token_id`, and so do we, on a copy. With `return_dict=False`
        the tuple is upstream's: (losses, scores, ..., loss), or with `trainer_compatible` (loss, scores, losses, ...).

        Raises:
            CheckpointError: the text is empty, `mems` do not fit, or labels were given for a single word.
        """
        output = self.transformer(
            input_ids,
            mems=mems,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        scores, losses, loss = self._scores_and_losses(output.last_hidden_state, labels)
        rest = {"mems": output.mems, "hidden_states": output.hidden_states, "attentions": output.attentions}
        if self.config.return_dict if return_dict is None else return_dict:
            return TransfoXLLMHeadModelOutput(losses=losses, prediction_scores=scores, loss=loss, **rest)
        first, last = ((loss, scores, losses), ()) if self._loss_first else ((losses, scores), (loss,))
        return tuple(value for value in (*first, *rest.values(), *last) if value is not None)

    @property
    def _loss_first(self) -> bool:
        return bool(getattr(self.config, "trainer_compatible", False))

    def _scores_and_losses(
        self, hidden: torch.Tensor, labels: torch.Tensor | None
    ) -> tuple[torch.Tensor | tuple[()], torch.Tensor | None, torch.Tensor | None]:
        if labels is None:
            return self.crit(hidden), None, None
        if labels.shape[1] < 2:
            raise CheckpointError(
                "A text of a single word has no loss: the label of a word is the word after it.",
                hint="Give the text a second word, or its <eos>.",
            )
        labels = labels[:, 1:].clone()
        if (labels[0] == IGNORED_LABEL).all():
            labels[0, 0] = self.config.eos_token_id
        losses = self.crit.losses(hidden[:, :-1].flatten(0, 1), labels.flatten()).view(labels.shape)
        return (), losses, losses[losses != 0].mean()

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        past_key_values: Memory | None = None,
        mems: Memory | None = None,
        **passed: Any,
    ) -> dict[str, Any]:
        """Feed the prompt once, then one word at a time with the memory of all before.

        Args:
            input_ids: prompt and words so far, (B * beams, L) int64.
            past_key_values: the memory, as `generate` of every release carries it from step to step.
            mems: a memory to start from, (M, B, C) a layer: `generate(ids, mems=mems)` continues a text whose
                earlier segments were read before. (Upstream's drops it without a word.)
            **passed: what the release sends along. Some send what to return here, others to `forward` itself.
        """
        inputs: dict[str, Any] = {name: passed[name] for name in _RETURN_ALSO if name in passed}
        if past_key_values:
            return {"input_ids": input_ids[:, -1:], "mems": past_key_values, **inputs}
        if mems is not None:
            beams = input_ids.shape[0] // mems[0].shape[1]
            mems = [words.repeat_interleave(beams, dim=1) for words in mems]
        return {"input_ids": input_ids, "mems": mems, **inputs}

    @staticmethod
    def _reorder_cache(mems: Memory, beam_idx: torch.Tensor) -> Memory:
        """Give each beam the memory of the beam that it grew from; `generate` calls it, on every release."""
        return [words.index_select(1, beam_idx.to(words.device)) for words in mems]

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        # Memory holds hidden states, not keys and values: newer releases would bring a cache of their own.
        return False


class TransfoXLForSequenceClassification(TransfoXLPreTrainedModel):
    """The classifier: one linear map of one word's hidden state.

    Args:
        config: the settings; `num_labels`, `problem_type` and `pad_token_id` are the head's.

    Raises:
        CheckpointError: `d_embed` and `d_model` differ, which its published shape (labels, d_embed) does not allow.
    """

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__(config)
        if config.d_embed != config.d_model:
            raise CheckpointError(
                f"A Transformer-XL classifier reads d_embed={config.d_embed} numbers, and its layers give "
                f"d_model={config.d_model}: expected the same.",
                hint="Classify with a checkpoint in which they are equal.",
            )
        self.num_labels = config.num_labels
        self.transformer = TransfoXLModel(config)
        self.score = nn.Linear(config.d_embed, config.num_labels, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        mems: Memory | None = None,
        head_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> TransfoXLSequenceClassifierOutput | tuple[Any, ...]:
        """Classify texts; see `TransfoXLModel.forward` for all but labels.

        `labels` are (B,) int64 for a single label, (B, num_labels) float for several, (B,) float for a regression.
        `problem_type` decides; unset, the labels' dtype and `num_labels` do, call by call (upstream keeps its first
        guess in the configuration).

        Raises:
            CheckpointError: the text is empty, `mems` do not fit, or a batch of several has no `pad_token_id`.
        """
        output = self.transformer(
            input_ids,
            mems=mems,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        hidden = output.last_hidden_state
        logits = self.score(hidden)[torch.arange(hidden.shape[0]), self._pooled(input_ids, hidden)]
        result = TransfoXLSequenceClassifierOutput(
            loss=None if labels is None else self._loss(logits, labels),
            logits=logits,
            mems=output.mems,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
        )
        return result if (self.config.return_dict if return_dict is None else return_dict) else result.to_tuple()

    def _pooled(self, input_ids: torch.Tensor | None, hidden: torch.Tensor) -> Any:
        """Return the position of the word that is read in each row: the one before the row's first `pad_token_id`.

        As in upstream's from 4.32 on: without padding, or with padding on the left, that is the last word. A
        `pad_token_id` inside a text ends the text there.
        """
        pad = self.config.pad_token_id
        if pad is None and hidden.shape[0] > 1:
            raise CheckpointError(
                f"A batch of {hidden.shape[0]} texts cannot be classified without a padding token.",
                hint="Set `pad_token_id` in the configuration, or classify one text at a time.",
            )
        if pad is None or input_ids is None:
            return -1
        first = (input_ids == pad).int().argmax(dim=-1)
        return (first - 1) % input_ids.shape[1]

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        problem = self.config.problem_type or self._problem_type(labels)
        if problem == "regression":
            one = self.num_labels == 1
            return nn.functional.mse_loss(*((logits.squeeze(), labels.squeeze()) if one else (logits, labels)))
        if problem == "single_label_classification":
            return nn.functional.cross_entropy(logits.view(-1, self.num_labels), labels.view(-1))
        return nn.functional.binary_cross_entropy_with_logits(logits, labels)

    def _problem_type(self, labels: torch.Tensor) -> str:
        if self.num_labels == 1:
            return "regression"
        return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"
