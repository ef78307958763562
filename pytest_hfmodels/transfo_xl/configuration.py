"""The configuration of a Transformer-XL checkpoint: `TransfoXLConfig`, with the names of published files.

For this folder; others take it from `pytest_hfmodels.transfo_xl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import PretrainedConfig

from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL_TYPE = "transfo-xl"


# The parent has no types that hold across releases.
class TransfoXLConfig(PretrainedConfig):  # type: ignore[misc]
    """The settings of a Transformer-XL; the defaults are those of `transfo-xl/transfo-xl-wt103`.

    Section numbers are those of Dai et al. 2019 (arXiv:1901.02860).

    Args:
        vocab_size: words in the vocabulary, V.
        cutoffs: where the clusters of the adaptive embedding and softmax end, ascending and below `vocab_size`;
            the last cluster ends at `vocab_size`. Empty: no clusters.
        d_model: width of the hidden states, C.
        d_embed: width of the most frequent words' embeddings.
        n_head: attention heads.
        d_head: width of one head.
        d_inner: width inside the position-wise feed-forward.
        div_val: each next cluster's embeddings are narrower by this factor.
        pre_lnorm: normalise what enters a sublayer instead of what leaves it.
        n_layer: layers.
        mem_len: words of earlier segments that each layer remembers, M (section 3.2).
        clamp_len: distances beyond it share one positional encoding; 0 or less: no limit.
        same_length: every word attends to as many words, itself included, as the memory is long.
        proj_share_all_but_first: tie the projections of the softmax to the embedding's, the first one's excepted.
        attn_type: 0, the paper's relative attention; the others were never published.
        sample_softmax: 0 or less; sampling was never published either.
        adaptive: ignored; every published model is adaptive.
        dropout: dropout probability of everything but attention.
        dropatt: dropout probability of the attention weights.
        untie_r: each layer has its own `u` and `v` (section 3.3), instead of one pair for all.
        init: how weights start, "normal" or "uniform".
        init_range: half the width of the uniform start.
        proj_init_std: standard deviation of the projections' start.
        init_std: standard deviation of the normal start.
        layer_norm_epsilon: what layer normalisation adds to the variance.
        eos_token_id: the word that ends a text.
        pad_token_id: the word that fills a batch up, or None.
        tie_word_embeddings: the softmax uses the embedding's vectors.
        **kwargs: everything that each `PretrainedConfig` has, such as `num_labels` and `problem_type`.
    """

    model_type = MODEL_TYPE
    keys_to_ignore_at_inference = ["mems"]  # noqa: RUF012 - the parent's form
    attribute_map = {  # noqa: RUF012 - the parent's form
        "n_token": "vocab_size",
        "hidden_size": "d_model",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    def __init__(
        self,
        vocab_size: int = 267735,
        cutoffs: Sequence[int] = (20000, 40000, 200000),
        d_model: int = 1024,
        d_embed: int = 1024,
        n_head: int = 16,
        d_head: int = 64,
        d_inner: int = 4096,
        div_val: int = 4,
        pre_lnorm: bool = False,
        n_layer: int = 18,
        mem_len: int = 1600,
        clamp_len: int = 1000,
        same_length: bool = True,
        proj_share_all_but_first: bool = True,
        attn_type: int = 0,
        sample_softmax: int = -1,
        adaptive: bool = True,
        dropout: float = 0.1,
        dropatt: float = 0.0,
        untie_r: bool = True,
        init: str = "normal",
        init_range: float = 0.01,
        proj_init_std: float = 0.01,
        init_std: float = 0.02,
        layer_norm_epsilon: float = 1e-5,
        eos_token_id: int = 0,
        pad_token_id: int | None = None,
        tie_word_embeddings: bool = True,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.cutoffs = list(cutoffs)
        # Published files spell it out; there it comes in `kwargs` and wins.
        self.tie_projs = [False] + [proj_share_all_but_first] * len(self.cutoffs)
        self.d_model = d_model
        self.d_embed = d_embed
        self.n_head = n_head
        self.d_head = d_head
        self.d_inner = d_inner
        self.div_val = div_val
        self.pre_lnorm = pre_lnorm
        self.n_layer = n_layer
        self.mem_len = mem_len
        self.clamp_len = clamp_len
        self.same_length = same_length
        self.attn_type = attn_type
        self.sample_softmax = sample_softmax
        self.adaptive = adaptive
        self.dropout = dropout
        self.dropatt = dropatt
        self.untie_r = untie_r
        self.init = init
        self.init_range = init_range
        self.proj_init_std = proj_init_std
        self.init_std = init_std
        self.layer_norm_epsilon = layer_norm_epsilon
        # The parent of transformers 4 has these three; that of 5 only keeps them.
        super().__init__(
            eos_token_id=eos_token_id, pad_token_id=pad_token_id, tie_word_embeddings=tie_word_embeddings, **kwargs
        )


def check_configuration(config: TransfoXLConfig) -> None:
    """Refuse settings that no Transformer-XL can be built from.

    Here and not in `TransfoXLConfig`, because overrides at load are set after a configuration has been made.

    Raises:
        CheckpointError: the cutoffs do not fit the vocabulary or the embedding's width, or a variant is asked for
            that was never published.
    """
    ends = [*config.cutoffs, config.vocab_size]
    if config.vocab_size < 1 or any(end <= start for start, end in zip([0, *ends], ends, strict=False)):
        raise CheckpointError(
            f"The cutoffs {list(config.cutoffs)} do not fit a vocabulary of {config.vocab_size} words: "
            "expected ascending numbers, all above 0 and below the vocabulary's size.",
            hint="Correct `cutoffs` or `vocab_size` in the checkpoint's config.json.",
        )
    narrowest = config.d_embed // config.div_val ** len(config.cutoffs)
    if narrowest < 1:
        raise CheckpointError(
            f"d_embed={config.d_embed} cannot be divided by div_val={config.div_val} for each of the "
            f"{len(config.cutoffs)} cutoffs: the last cluster's embeddings would be empty.",
            hint="Correct `d_embed`, `div_val` or `cutoffs` in the checkpoint's config.json.",
        )
    if config.attn_type != 0 or config.sample_softmax > 0:
        raise CheckpointError(
            f"attn_type={config.attn_type} and sample_softmax={config.sample_softmax} name a variant of "
            "Transformer-XL that was never published: expected attn_type=0 and sample_softmax=-1.",
            hint="Correct them in the checkpoint's config.json.",
        )
