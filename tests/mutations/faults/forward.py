"""The forward pass of GPT-2 and of Transformer-XL."""

from __future__ import annotations

from tests.mutations import observations as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

GPT2 = "transformers.models.gpt2.modeling_gpt2"
MIXIN = "transformers.generation.utils:GenerationMixin"
TRANSFO_XL = "pytest_hfmodels.transfo_xl"

FAULTS = (
    Fault(
        "eager-attention-sees-padding",
        "Eager attention attends to padding.",
        reference="huggingface/transformers#3167",
        shown_by=lambda: observe.logits(padded=True),
        patch=lambda: edited(
            f"{GPT2}:eager_attention_forward",
            ("attn_weights = attn_weights + causal_mask", "attn_weights = attn_weights + 0 * causal_mask"),
        ),
    ),
    Fault(
        "sdpa-mask-dropped-after-a-cache",
        "If several tokens follow a cache, sdpa drops the mask and aligns its own with the first key.",
        reference="huggingface/transformers#30311",
        shown_by=lambda: observe.logits(attention="sdpa", cached=2),
        patch=lambda: edited(
            "transformers.masking_utils:_ignore_causal_mask_sdpa",
            ("(query_length == 1 or (kv_length == query_length or _is_torch_xpu_available))", "kv_length > 0"),
        ),
    ),
    Fault(
        "layerwise-scaling-ignored",
        "Eager attention also ignores scale_attn_by_inverse_layer_idx.",
        reference="huggingface/transformers#44380",
        shown_by=lambda: observe.logits(scale_attn_by_inverse_layer_idx=True),
        patch=lambda: edited(
            f"{GPT2}:eager_attention_forward",
            ("if module.scale_attn_by_inverse_layer_idx:", "if module.scale_attn_by_inverse_layer_idx is None:"),
        ),
    ),
    Fault(
        "upcast-attention-scaled-by-keys",
        "Reordered and upcast attention scales by the number of keys instead of the width of a head.",
        reference="huggingface/transformers#13573",
        shown_by=lambda: observe.logits(reorder_and_upcast_attn=True, n_embd=12),
        patch=lambda: edited(
            f"{GPT2}:GPT2Attention._upcast_and_reordered_attn",
            ("float(value.size(-1)) ** 0.5", "float(value.size(-2)) ** 0.5"),
        ),
    ),
    Fault(
        "gelu-new-is-exact-gelu",
        "gelu_new computes the exact GELU.",
        reference="huggingface/transformers#39073",
        shown_by=observe.logits,
        patch=lambda: edited(
            "transformers.activations:NewGELUActivation.forward",
            (
                "0.5 * input * "
                "(1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (input + 0.044715 * torch.pow(input, 3.0))))",
                "nn.functional.gelu(input)",
            ),
        ),
    ),
    Fault(
        "layer-norm-epsilon-ignored",
        "The blocks' first layer norm uses torch's epsilon instead of the configuration's.",
        reference="huggingface/transformers#585",
        shown_by=lambda: observe.logits(layer_norm_epsilon=0.1),
        patch=lambda: edited(
            f"{GPT2}:GPT2Block.__init__",
            ("ln_1 = nn.LayerNorm(hidden_size, eps=config.layer_norm_epsilon)", "ln_1 = nn.LayerNorm(hidden_size)"),
        ),
    ),
    Fault(
        "scale-attn-weights-ignored",
        "Scores are scaled although scale_attn_weights is off.",
        reference="huggingface/transformers#44397",
        shown_by=lambda: observe.logits(scale_attn_weights=False),
        patch=lambda: edited(
            f"{GPT2}:eager_attention_forward",
            ("if module.scale_attn_weights:", "if module.scale_attn_weights is not None:"),
        ),
    ),
    Fault(
        "positions-count-left-padding",
        "Generation counts positions from the row's start, padding included.",
        reference="huggingface/transformers#7552",
        shown_by=observe.greedy,
        patch=lambda: edited(
            f"{MIXIN}.prepare_inputs_for_generation",
            ("attention_mask.long().cumsum(-1) - 1", "torch.ones_like(attention_mask).long().cumsum(-1) - 1"),
        ),
    ),
    Fault(
        "head-mask-ignored",
        "Eager attention ignores the head mask, as sdpa does.",
        reference="huggingface/transformers#31172",
        shown_by=lambda: observe.logits(calls={"head_mask": __import__("torch").tensor([1.0, 0.0])}),
        patch=lambda: edited(f"{GPT2}:eager_attention_forward", ("attn_weights * head_mask", "attn_weights")),
    ),
    Fault(
        "token-types-ignored",
        "Token types add nothing to the embedding.",
        reference="huggingface/transformers#6794",
        shown_by=lambda: observe.logits(calls={"token_type_ids": __import__("torch").ones(3, 4, dtype=int)}),
        patch=lambda: edited(f"{GPT2}:GPT2Model.forward", ("+ token_type_embeds", "+ 0 * token_type_embeds")),
    ),
    Fault(
        "transfo-xl-memory-grows",
        "Transformer-XL keeps more words in memory than mem_len, segment by segment.",
        reference="huggingface/transformers#3580",
        shown_by=lambda: observe.transfo_xl(texts=3, same_length=False),
        patch=lambda: edited(
            f"{TRANSFO_XL}.memory:remember", ("_last(old, mem_len - new.shape[1])", "_last(old, mem_len)")
        ),
    ),
    Fault(
        "transfo-xl-window-one-too-wide",
        "With same_length a Transformer-XL word sees one word more than mem_len.",
        reference="huggingface/transformers#14832",
        shown_by=lambda: observe.transfo_xl(same_length=True),
        patch=lambda: edited(f"{TRANSFO_XL}.memory:unseen", ("distance >= window", "distance > window")),
    ),
    Fault(
        "transfo-xl-reads-the-text-again",
        "Transformer-XL generation reads the whole text again at every step, in addition to its memory.",
        reference="huggingface/transformers#4826",
        shown_by=lambda: observe.transfo_xl(generate={"max_new_tokens": 4}),
        patch=lambda: edited(
            f"{TRANSFO_XL}.heads:TransfoXLLMHeadModel.prepare_inputs_for_generation",
            ('"input_ids": input_ids[:, -1:]', '"input_ids": input_ids'),
        ),
    ),
    Fault(
        "transfo-xl-clusters-swapped",
        "Transformer-XL's softmax reads the rare clusters' scores from the end, so that they are swapped.",
        reference="huggingface/transformers#678",
        shown_by=observe.transfo_xl,
        patch=lambda: edited(
            f"{TRANSFO_XL}.adaptive:AdaptiveSoftmax._of_cluster",
            ("self.clusters[0][1] + index - 1", "self.clusters[0][1] + len(self.clusters) - 1 - index"),
        ),
    ),
    Fault(
        "sdpa-mask-judged-by-the-newest-words",
        "sdpa drops the mask if the newest words are not padding, so from the second step on it attends to padding.",
        reference="huggingface/transformers#39573",
        shown_by=lambda: observe.greedy(model={"attention": "sdpa"}),
        patch=lambda: edited(
            "transformers.masking_utils:_ignore_causal_mask_sdpa",
            ("                padding_mask.all()\n", "                padding_mask[:, -query_length:].all()\n"),
        ),
        later=True,
    ),
)
