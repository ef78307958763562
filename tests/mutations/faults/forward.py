"""The forward pass of GPT-2 and of Transformer-XL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.mutations import observations as observe
from tests.mutations.fault import fault
from tests.mutations.patches import edited

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

GPT2 = "transformers.models.gpt2.modeling_gpt2"
MIXIN = "transformers.generation.utils:GenerationMixin"
TRANSFO_XL = "pytest_hfmodels.transfo_xl"


@fault(
    "Eager attention looks at padding.",
    reference="huggingface/transformers#3167",
    shown_by=lambda: observe.logits(padded=True),
)
def eager_attention_sees_padding() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:eager_attention_forward",
        ("attn_weights = attn_weights + causal_mask", "attn_weights = attn_weights + 0 * causal_mask"),
    )


@fault(
    "sdpa drops the mask where several tokens follow a cache, and aligns its own with the first key.",
    reference="huggingface/transformers#30311",
    shown_by=lambda: observe.logits(attention="sdpa", cached=2),
)
def sdpa_mask_dropped_after_a_cache() -> AbstractContextManager[None]:
    return edited(
        "transformers.masking_utils:_ignore_causal_mask_sdpa",
        ("(query_length == 1 or (kv_length == query_length or _is_torch_xpu_available))", "kv_length > 0"),
    )


@fault(
    "Eager attention, too, ignores scale_attn_by_inverse_layer_idx.",
    reference="huggingface/transformers#44380",
    shown_by=lambda: observe.logits(scale_attn_by_inverse_layer_idx=True),
)
def layerwise_scaling_ignored() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:eager_attention_forward",
        ("if module.scale_attn_by_inverse_layer_idx:", "if module.scale_attn_by_inverse_layer_idx is None:"),
    )


@fault(
    "Reordered and upcast attention scales by the number of keys and not by the width of a head.",
    reference="huggingface/transformers#13573",
    shown_by=lambda: observe.logits(reorder_and_upcast_attn=True, n_embd=12),
)
def upcast_attention_scaled_by_keys() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:GPT2Attention._upcast_and_reordered_attn",
        ("float(value.size(-1)) ** 0.5", "float(value.size(-2)) ** 0.5"),
    )


@fault(
    "gelu_new is computed by the exact GELU, for speed.",
    reference="huggingface/transformers#39073",
    shown_by=lambda: observe.logits(),
)
def gelu_new_is_exact_gelu() -> AbstractContextManager[None]:
    return edited(
        "transformers.activations:NewGELUActivation.forward",
        (
            "0.5 * input * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (input + 0.044715 * torch.pow(input, 3.0))))",
            "nn.functional.gelu(input)",
        ),
    )


@fault(
    "The blocks' first layer norm takes torch's epsilon and not the configuration's.",
    reference="huggingface/transformers#585",
    shown_by=lambda: observe.logits(layer_norm_epsilon=0.1),
)
def layer_norm_epsilon_ignored() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:GPT2Block.__init__",
        (
            "self.ln_1 = nn.LayerNorm(hidden_size, eps=config.layer_norm_epsilon)",
            "self.ln_1 = nn.LayerNorm(hidden_size)",
        ),
    )


@fault(
    "Scores are scaled though scale_attn_weights is off.",
    reference="huggingface/transformers#44397",
    shown_by=lambda: observe.logits(scale_attn_weights=False),
)
def scale_attn_weights_ignored() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:eager_attention_forward",
        ("if module.scale_attn_weights:", "if module.scale_attn_weights is not None:"),
    )


@fault(
    "Generation counts positions from the row's start, padding included.",
    reference="huggingface/transformers#7552",
    shown_by=lambda: observe.greedy(),
)
def positions_count_left_padding() -> AbstractContextManager[None]:
    return edited(
        f"{MIXIN}.prepare_inputs_for_generation",
        ("attention_mask.long().cumsum(-1) - 1", "torch.ones_like(attention_mask).long().cumsum(-1) - 1"),
    )


@fault(
    "Eager attention ignores the head mask, as sdpa does.",
    reference="huggingface/transformers#31172",
    shown_by=lambda: observe.logits(calls={"head_mask": __import__("torch").tensor([1.0, 0.0])}),
)
def head_mask_ignored() -> AbstractContextManager[None]:
    return edited(f"{GPT2}:eager_attention_forward", ("attn_weights * head_mask", "attn_weights"))


@fault(
    "Token types add nothing to the embedding.",
    reference="huggingface/transformers#6794",
    shown_by=lambda: observe.logits(calls={"token_type_ids": __import__("torch").ones(3, 4, dtype=int)}),
)
def token_types_ignored() -> AbstractContextManager[None]:
    return edited(
        f"{GPT2}:GPT2Model.forward",
        ("hidden_states = hidden_states + token_type_embeds", "hidden_states = hidden_states + 0 * token_type_embeds"),
    )


@fault(
    "Transformer-XL keeps more words in memory than mem_len, segment by segment.",
    reference="huggingface/transformers#3580",
    shown_by=lambda: observe.transfo_xl(texts=3, same_length=False),
)
def transfo_xl_memory_grows() -> AbstractContextManager[None]:
    return edited(f"{TRANSFO_XL}.memory:remember", ("_last(old, mem_len - new.shape[1])", "_last(old, mem_len)"))


@fault(
    "With same_length a Transformer-XL word sees one word more than mem_len.",
    reference="huggingface/transformers#14832",
    shown_by=lambda: observe.transfo_xl(same_length=True),
)
def transfo_xl_window_one_too_wide() -> AbstractContextManager[None]:
    return edited(f"{TRANSFO_XL}.memory:unseen", ("distance >= window", "distance > window"))


@fault(
    "Transformer-XL generation feeds the whole text again at every step, beside its memory.",
    reference="huggingface/transformers#4826",
    shown_by=lambda: observe.transfo_xl(generate={"max_new_tokens": 4}),
)
def transfo_xl_reads_the_text_again() -> AbstractContextManager[None]:
    return edited(
        f"{TRANSFO_XL}.heads:TransfoXLLMHeadModel.prepare_inputs_for_generation",
        ('"input_ids": input_ids[:, -1:]', '"input_ids": input_ids'),
    )


@fault(
    "Transformer-XL's softmax reads the rare clusters' scores from the end, so that they are swapped.",
    reference="huggingface/transformers#678",
    shown_by=lambda: observe.transfo_xl(),
)
def transfo_xl_clusters_swapped() -> AbstractContextManager[None]:
    return edited(
        f"{TRANSFO_XL}.adaptive:AdaptiveSoftmax._of_cluster",
        ("self.clusters[0][1] + index - 1", "self.clusters[0][1] + len(self.clusters) - 1 - index"),
    )
