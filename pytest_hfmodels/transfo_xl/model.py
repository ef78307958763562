"""Transformer-XL on the installed transformers' `PreTrainedModel` (Dai et al. 2019, arXiv:1901.02860).

For `heads` and `registration`, inside this folder; others take it from `pytest_hfmodels.transfo_xl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pytest_hfmodels.foundation.errors import CheckpointError
from pytest_hfmodels.transfo_xl.adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from pytest_hfmodels.transfo_xl.attention import PositionalEncoding, RelativeAttention, new_bias
from pytest_hfmodels.transfo_xl.configuration import TransfoXLConfig, check_configuration
from pytest_hfmodels.transfo_xl.layer import Layer
from pytest_hfmodels.transfo_xl.memory import Memory, blank_memory, check_memory, remember, unseen
from pytest_hfmodels.transfo_xl.outputs import TransfoXLModelOutput

if TYPE_CHECKING:
    from collections.abc import Iterator


class TransfoXLPreTrainedModel(PreTrainedModel):  # type: ignore[misc] # transformers has no types
    """How every Transformer-XL is initialised and tied.

    Args:
        config: the settings.

    Raises:
        CheckpointError: no Transformer-XL can be built from them; see `check_configuration`.
    """

    config_class = TransfoXLConfig
    base_model_prefix = "transformer"
    # transformers 4 reads the keys, when it saves; 5 wants the mapping. `tied_weights` says which are tied.
    _tied_weights_keys = {  # noqa: RUF012 - the parent's form
        r"layers\.\d+\.dec_attn\.r_w_bias": "r_w_bias",
        r"layers\.\d+\.dec_attn\.r_r_bias": "r_r_bias",
    }

    def __init__(self, config: TransfoXLConfig) -> None:
        check_configuration(config)
        super().__init__(config)

    def tied_weights(self) -> dict[str, str]:
        """Return the parameters that are one and the same tensor, as {name: name of the one that counts}."""
        if self.config.untie_r:
            return {}
        prefix = "" if self.base_model is self else f"{self.base_model_prefix}."
        return {
            f"{prefix}layers.{index}.dec_attn.{bias}": f"{prefix}{bias}"
            for index in range(self.config.n_layer)
            for bias in ("r_w_bias", "r_r_bias")
        }

    def tie_weights(self, missing_keys: set[str] | None = None, **passed: Any) -> None:
        """Make tied parameters one tensor again, after loading has filled each by its name.

        Args:
            missing_keys: what the checkpoint lacks, where the release says it (from 5.0); names that a tie fills are
                removed from it.
            **passed: what else the release sends along.
        """
        del passed
        missing = set() if missing_keys is None else missing_keys
        for target, source in self.tied_weights().items():
            # A checkpoint may hold either of the two.
            swapped = source in missing and target not in missing
            found, filled = (target, source) if swapped else (source, target)
            owner, _, attribute = filled.rpartition(".")
            setattr(self.get_submodule(owner), attribute, self.get_parameter(found))
            if found not in missing:
                missing.discard(filled)

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """See `tied_weights`: by this name transformers 5 asks for it."""
        del all_submodels  # the names of the whole model are always there
        return self.tied_weights()

    def get_input_embeddings(self) -> AdaptiveEmbedding:
        """Return the adaptive embedding."""
        embedding: AdaptiveEmbedding = self.base_model.word_emb
        return embedding

    def set_input_embeddings(self, value: AdaptiveEmbedding) -> None:
        """Replace the adaptive embedding."""
        self.base_model.word_emb = value

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *_: Any, **__: Any) -> AdaptiveEmbedding:
        """Return the embedding; its size cannot change, because the clusters divide a sorted vocabulary.

        Raises:
            CheckpointError: another size than the vocabulary's is asked for.
        """
        if new_num_tokens not in (None, self.config.vocab_size):
            raise CheckpointError(
                f"A Transformer-XL of {self.config.vocab_size} words cannot be resized to {new_num_tokens}.",
                hint="Train it with the vocabulary it needs.",
            )
        return self.get_input_embeddings()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        for tensor, mean, std in _starts(module, self.config):
            if getattr(tensor, "_is_hf_initialized", False):  # it has come from a checkpoint
                continue
            if std == 0:
                tensor.fill_(mean)
            elif std is None and self.config.init == "uniform":
                tensor.uniform_(-self.config.init_range, self.config.init_range)
            else:
                tensor.normal_(mean, self.config.init_std if std is None else std)
        if isinstance(module, PositionalEncoding) and not getattr(module.inv_freq, "_is_hf_initialized", False):
            module.inv_freq.copy_(module.frequencies())


class TransfoXLModel(TransfoXLPreTrainedModel):
    """The layers, without a head.

    Args:
        config: the settings.
    """

    def __init__(self, config: TransfoXLConfig) -> None:
        super().__init__(config)
        self.mem_len = config.mem_len
        self.word_emb = AdaptiveEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        shared = None
        if not config.untie_r:
            self.r_w_bias = new_bias(config.n_head, config.d_head)
            self.r_r_bias = new_bias(config.n_head, config.d_head)
            shared = (self.r_w_bias, self.r_r_bias)
        self.layers = nn.ModuleList(Layer(config, shared) for _ in range(config.n_layer))
        self.pos_emb = PositionalEncoding(config.d_model)
        self.post_init()

    def reset_memory_length(self, mem_len: int) -> None:
        """Remember `mem_len` words from now on."""
        self.mem_len = mem_len

    def init_mems(self, bsz: int) -> Memory | None:
        """Return the memory that a first segment sees: `mem_len` words of zeros; None where `mem_len` is 0.

        Args:
            bsz: rows of the batch.
        """
        if self.mem_len <= 0:
            return None
        return blank_memory(self.config, self.mem_len, bsz, like=next(self.parameters()))

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        mems: Memory | None = None,
        head_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> TransfoXLModelOutput | tuple[Any, ...]:
        """Run one segment.

        There is no attention mask: a word that fills a batch up is a word like any other.

        Args:
            input_ids: the words, (B, L) int64.
            mems: the segments before, as the last call returned them, (M, B, C) a layer; None at a text's start.
            head_mask: factors of the heads' weights, (n,) or (layers, n).
            inputs_embeds: vectors in the words' place, (B, L, C).
            output_attentions: whether to return attention weights.
            output_hidden_states: whether to return every layer's input.
            return_dict: False for a tuple of what there is.

        Raises:
            CheckpointError: the text is empty, or `mems` do not fit.
            ValueError: not exactly one of `input_ids` and `inputs_embeds` was given.
        """
        h = self._embedded(input_ids, inputs_embeds)
        batch, length = h.shape[:2]
        if mems is None:
            mems = self.init_mems(batch)
        else:
            check_memory(mems, self.config, batch)
        remembered = 0 if mems is None else mems[0].shape[0]
        position = self.drop(self.pos_emb(self._distances(remembered + length, h)))
        hidden_from = unseen(length, remembered, self.mem_len if self.config.same_length else None, h.device)

        h = self.drop(h)
        with_attentions = _asked(output_attentions, self.config.output_attentions)
        hidden, attentions = [], []
        factors = [None] * len(self.layers) if head_mask is None else head_mask.expand(len(self.layers), -1).to(h.dtype)
        for index, layer in enumerate(self.layers):
            hidden.append(h)
            h, weights = layer(h, position, None if mems is None else mems[index], hidden_from, factors[index])
            if with_attentions:
                attentions.append(weights)
        h = self.drop(h)

        output = TransfoXLModelOutput(
            last_hidden_state=h,
            mems=None if mems is None else remember(mems, hidden, self.mem_len),
            hidden_states=(*hidden, h) if _asked(output_hidden_states, self.config.output_hidden_states) else None,
            attentions=tuple(attentions) if with_attentions else None,
        )
        return output if _asked(return_dict, self.config.return_dict) else output.to_tuple()

    def _embedded(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> torch.Tensor:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("Pass either input_ids or inputs_embeds.")
        given = input_ids if inputs_embeds is None else inputs_embeds
        assert given is not None
        if given.shape[1] == 0:
            raise CheckpointError(
                "The text is empty: a Transformer-XL reads one word at least.",
                hint="Give it a word, or its <eos>.",
            )
        embedded: torch.Tensor = self.word_emb(given) if inputs_embeds is None else inputs_embeds
        return embedded

    def _distances(self, words: int, like: torch.Tensor) -> torch.Tensor:
        distance = torch.arange(words - 1, -1, -1.0, device=like.device, dtype=like.dtype)
        return distance.clamp(max=self.config.clamp_len) if self.config.clamp_len > 0 else distance


def _starts(module: nn.Module, config: TransfoXLConfig) -> Iterator[tuple[torch.Tensor, float, float | None]]:
    """Yield each tensor that `module` itself holds, with mean and standard deviation of its start (None: `init`)."""
    if isinstance(module, nn.LayerNorm):
        yield module.weight, 1.0, config.init_std
        yield module.bias, 0.0, 0.0
    elif isinstance(module, nn.Embedding):
        yield module.weight, 0.0, None
    elif isinstance(module, nn.Linear):
        yield module.weight, 0.0, None
        if module.bias is not None:
            yield module.bias, 0.0, 0.0
    elif isinstance(module, AdaptiveEmbedding):
        yield from ((projection, 0.0, config.proj_init_std) for projection in module.emb_projs)
    elif isinstance(module, AdaptiveSoftmax):
        yield from ((projection, 0.0, config.proj_init_std) for projection in module.out_projs)
        if len(module.clusters) > 1:
            yield module.cluster_weight, 0.0, None
            yield module.cluster_bias, 0.0, 0.0
    elif isinstance(module, RelativeAttention) or (isinstance(module, TransfoXLModel) and not config.untie_r):
        yield module.r_w_bias, 0.0, None
        yield module.r_r_bias, 0.0, None


def _asked(argument: bool | None, default: Any) -> bool:
    return bool(default) if argument is None else argument
