"""Decoders: rotary positions, windows, experts, caps, ALiBi, and states."""

from __future__ import annotations

from tests.mutations import architectures as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

FAULTS = (
    Fault(
        "rotary-angles-in-half-precision",
        "Llama computes its rotary angles in bfloat16.",
        reference="huggingface/transformers#25681",
        shown_by=lambda: observe.outputs("llama"),
        patch=lambda: edited(
            "transformers.models.llama.modeling_llama:LlamaRotaryEmbedding.forward",
            (
                "(inv_freq_expanded.float() @ position_ids_expanded.float())",
                "(inv_freq_expanded.bfloat16() @ position_ids_expanded.bfloat16()).float()",
            ),
        ),
    ),
    Fault(
        "rotary-scaling-ignored",
        "Linear scaling of rotary positions has no effect.",
        reference="huggingface/transformers#24653",
        shown_by=lambda: observe.outputs("llama", rope_scaling={"rope_type": "linear", "factor": 4.0}),
        patch=lambda: edited(
            "transformers.modeling_rope_utils:_compute_linear_scaling_rope_parameters",
            ("inv_freq /= factor", "inv_freq /= 1.0"),
        ),
    ),
    Fault(
        "rotary-halves-turned-back",
        "Llama rotates the halves of a head the wrong way.",
        reference="huggingface/transformers#25199",
        shown_by=lambda: observe.outputs("llama"),
        patch=lambda: edited(
            "transformers.models.llama.modeling_llama:rotate_half",
            ("(-x2, x1)", "(x2, -x1)"),
        ),
    ),
    Fault(
        "grouped-keys-in-the-wrong-order",
        "Llama repeats keys and values for the wrong heads.",
        reference="huggingface/transformers#24891",
        shown_by=lambda: observe.outputs("llama"),
        patch=lambda: edited(
            "transformers.models.llama.modeling_llama:repeat_kv",
            (
                "hidden_states[:, :, None, :, :].expand(batch, num_key_value_heads, n_rep, slen, head_dim)",
                "hidden_states[:, None, :, :, :].expand(batch, n_rep, num_key_value_heads, slen, head_dim)",
            ),
        ),
    ),
    Fault(
        "qwen3-queries-not-normalised",
        "Qwen3 leaves out the norm of its queries.",
        reference="huggingface/transformers#36878",
        shown_by=lambda: observe.outputs("qwen3"),
        patch=lambda: edited(
            "transformers.models.qwen3.modeling_qwen3:Qwen3Attention.forward",
            (
                "self.q_norm(self.q_proj(hidden_states).view(hidden_shape))",
                "self.q_proj(hidden_states).view(hidden_shape)",
            ),
        ),
    ),
    Fault(
        "window-one-token-too-wide",
        "A sliding window lets a token see one token too many.",
        reference="huggingface/transformers#29623",
        shown_by=lambda: observe.generated("mistral", settings={"use_cache": False}),
        patch=lambda: edited(
            "transformers.masking_utils:sliding_window_overlay",
            ("kv_idx > q_idx - sliding_window", "kv_idx >= q_idx - sliding_window"),
        ),
    ),
    Fault(
        "window-ignored",
        "A sliding window has no effect.",
        reference="huggingface/transformers#29777",
        shown_by=lambda: observe.generated("mistral", settings={"use_cache": False}),
        patch=lambda: edited(
            "transformers.masking_utils:sliding_window_overlay",
            ("kv_idx > q_idx - sliding_window", "kv_idx == kv_idx"),
        ),
    ),
    Fault(
        "window-cache-keeps-the-first-words",
        "The cache of a sliding window keeps the first values instead of the last.",
        reference="huggingface/transformers#27548",
        shown_by=lambda: observe.generated("mistral"),
        patch=lambda: edited(
            "transformers.cache_utils:DynamicSlidingWindowLayer.update",
            (
                "self.values = full_value_states[:, :, -self.sliding_window + 1 :, :]",
                "self.values = full_value_states[:, :, : self.keys.shape[2], :]",
            ),
        ),
    ),
    Fault(
        "routing-not-normalised",
        "Mixtral's weights of the chosen experts do not add up to 1.",
        reference="huggingface/transformers#27942",
        shown_by=lambda: observe.outputs("mixtral"),
        patch=lambda: edited(
            "transformers.models.mixtral.modeling_mixtral:MixtralSparseMoeBlock.forward",
            ("routing_weights /= routing_weights.sum(dim=-1, keepdim=True)", "pass"),
        ),
    ),
    Fault(
        "one-expert-too-few",
        "Mixtral asks one expert instead of two.",
        reference="huggingface/transformers#27942",
        shown_by=lambda: observe.outputs("mixtral"),
        patch=lambda: edited(
            "transformers.models.mixtral.modeling_mixtral:MixtralSparseMoeBlock.forward",
            ("torch.topk(routing_weights, self.top_k, dim=-1)", "torch.topk(routing_weights, 1, dim=-1)"),
        ),
    ),
    Fault(
        "experts-swapped",
        "Mixtral weighs the first expert with the second one's weight.",
        reference="huggingface/transformers#43154",
        shown_by=lambda: observe.outputs("mixtral"),
        patch=lambda: edited(
            "transformers.models.mixtral.modeling_mixtral:MixtralSparseMoeBlock.forward",
            ("routing_weights[top_x, idx, None]", "routing_weights[top_x, self.top_k - 1 - idx, None]"),
        ),
    ),
    Fault(
        "soft-cap-of-attention-lost",
        "Gemma 2 leaves out the soft cap of its attention.",
        reference="huggingface/transformers#31887",
        shown_by=lambda: observe.outputs("gemma2", attn_logit_softcapping=1.0),
        patch=lambda: edited(
            "transformers.models.gemma2.modeling_gemma2:eager_attention_forward",
            ("if softcap is not None:", "if False:"),
        ),
    ),
    Fault(
        "soft-cap-of-logits-lost",
        "Gemma 2 leaves out the soft cap of its logits.",
        reference="vllm-project/vllm#52173",
        shown_by=lambda: observe.outputs("gemma2", final_logit_softcapping=2.0),
        patch=lambda: edited(
            "transformers.models.gemma2.modeling_gemma2:Gemma2ForCausalLM.forward",
            ("if self.config.final_logit_softcapping is not None:", "if False:"),
        ),
    ),
    Fault(
        "gemma-norm-not-around-one",
        "Gemma's norm multiplies by the weight instead of 1 plus the weight.",
        reference="huggingface/transformers#29402",
        shown_by=lambda: observe.outputs("gemma"),
        patch=lambda: edited(
            "transformers.models.gemma.modeling_gemma:GemmaRMSNorm.forward",
            ("(1.0 + self.weight.float())", "self.weight.float()"),
        ),
    ),
    Fault(
        "alibi-slopes-shifted",
        "BLOOM's heads get the slopes of their neighbours.",
        reference="huggingface/transformers#17474",
        shown_by=lambda: observe.outputs("bloom"),
        patch=lambda: edited(
            "transformers.models.bloom.modeling_bloom:build_alibi_tensor",
            ("torch.arange(1, 1 + closest_power_of_2", "torch.arange(0, closest_power_of_2"),
        ),
    ),
    Fault(
        "bloom-residual-behind-the-norm",
        "BLOOM adds the normalised input instead of the input.",
        reference="huggingface/transformers#17474",
        shown_by=lambda: observe.outputs("bloom"),
        patch=lambda: edited(
            "transformers.models.bloom.modeling_bloom:BloomBlock.forward",
            ("residual = hidden_states", "residual = layernorm_output"),
        ),
    ),
    Fault(
        "falcon-alibi-lost",
        "Falcon leaves out ALiBi.",
        reference="huggingface/transformers#29067",
        shown_by=lambda: observe.outputs("falcon", alibi=True),
        patch=lambda: edited(
            "transformers.models.falcon.modeling_falcon:build_alibi_tensor",
            ("slopes[..., None].bfloat16() * arange_tensor", "0 * slopes[..., None].bfloat16() * arange_tensor"),
        ),
    ),
    Fault(
        "mamba-state-not-kept",
        "Mamba forgets its state after each step.",
        reference="huggingface/transformers#31116",
        shown_by=lambda: observe.generated("mamba"),
        patch=lambda: edited(
            "transformers.models.mamba.modeling_mamba:MambaMixer.slow_forward",
            ("cache_params.ssm_states[self.layer_idx].copy_(ssm_state)", "pass"),
        ),
    ),
    Fault(
        "mamba-convolution-not-shifted",
        "Mamba does not shift the words that its convolution sees.",
        reference="huggingface/transformers#31247",
        shown_by=lambda: observe.generated("mamba"),
        patch=lambda: edited(
            "transformers.models.mamba.modeling_mamba:MambaCache.update_conv_state",
            ("shifts=-1, dims=-1", "shifts=0, dims=-1"),
        ),
    ),
    Fault(
        "rwkv-state-not-decayed",
        "RWKV's state does not decay.",
        reference="huggingface/transformers#22797",
        shown_by=lambda: observe.generated("rwkv"),
        patch=lambda: edited(
            "transformers.models.rwkv.modeling_rwkv:rwkv_linear_attention_cpu",
            ("time_decay = -torch.exp(time_decay)", "time_decay = 0 * time_decay"),
        ),
    ),
)
