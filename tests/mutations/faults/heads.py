"""Heads, windows and positions of further architectures; the later ones were written after the checks."""

from __future__ import annotations

from tests.mutations import architectures as observe
from tests.mutations.fault import Fault
from tests.mutations.patches import edited

MODELS = "transformers.models"

FAULTS = (
    Fault(
        "cohere-logits-not-scaled",
        "Command R does not scale its logits.",
        reference="huggingface/transformers#29622",
        shown_by=lambda: observe.outputs("cohere", logit_scale=0.25),
        patch=lambda: edited(
            f"{MODELS}.cohere.modeling_cohere:CohereForCausalLM.forward",
            ("logits = logits * self.logit_scale", "logits = logits * 1.0"),
        ),
    ),
    Fault(
        "detr-boxes-not-squashed",
        "DETR's boxes are not between 0 and 1.",
        reference="huggingface/transformers#11653",
        shown_by=lambda: observe.outputs("detr"),
        patch=lambda: edited(
            f"{MODELS}.detr.modeling_detr:DetrForObjectDetection.forward",
            (
                "pred_boxes = self.bbox_predictor(sequence_output).sigmoid()",
                "pred_boxes = self.bbox_predictor(sequence_output)",
            ),
        ),
    ),
    Fault(
        "yolos-reads-the-first-tokens",
        "YOLOS takes the first tokens as the detection tokens.",
        reference="huggingface/transformers#16848",
        shown_by=lambda: observe.outputs("yolos"),
        patch=lambda: edited(
            f"{MODELS}.yolos.modeling_yolos:YolosForObjectDetection.forward",
            (
                "sequence_output[:, -self.config.num_detection_tokens :, :]",
                "sequence_output[:, : self.config.num_detection_tokens, :]",
            ),
        ),
    ),
    Fault(
        "wav2vec2-padding-cut-in-front",
        "Wav2Vec2 cuts the padding of its positions in front.",
        reference="huggingface/transformers#9659",
        shown_by=lambda: observe.outputs("wav2vec2"),
        patch=lambda: edited(
            f"{MODELS}.wav2vec2.modeling_wav2vec2:Wav2Vec2SamePadLayer.forward",
            ("hidden_states[:, :, : -self.num_pad_remove]", "hidden_states[:, :, self.num_pad_remove :]"),
        ),
    ),
    Fault(
        "whisper-positions-lost",
        "Whisper's encoder leaves out its positions.",
        reference="huggingface/transformers#19166",
        shown_by=lambda: observe.outputs("whisper"),
        patch=lambda: edited(
            f"{MODELS}.whisper.modeling_whisper:WhisperEncoder.forward",
            ("inputs_embeds + self.embed_positions(all_positions)", "inputs_embeds"),
        ),
    ),
    Fault(
        "deberta-position-to-content-lost",
        "DeBERTa leaves out the attention of positions to contents.",
        reference="huggingface/transformers#5929",
        shown_by=lambda: observe.outputs("deberta_v2"),
        patch=lambda: edited(
            f"{MODELS}.deberta_v2.modeling_deberta_v2:DisentangledSelfAttention.disentangled_attention_bias",
            ("score += p2c_att / scale.to(dtype=p2c_att.dtype)", "pass"),
        ),
    ),
    Fault(
        "siglip-pools-without-residual",
        "SigLIP's pooling leaves out its residual.",
        reference="huggingface/transformers#26522",
        shown_by=lambda: observe.outputs("siglip"),
        patch=lambda: edited(
            f"{MODELS}.siglip.modeling_siglip:SiglipMultiheadAttentionPoolingHead.forward",
            ("residual + self.mlp(hidden_state)", "self.mlp(hidden_state)"),
        ),
    ),
    Fault(
        "static-window-not-shifted",
        "A full static cache of a sliding window overwrites its last token.",
        reference="huggingface/transformers#37574",
        shown_by=lambda: observe.generated(
            "gemma2", settings={"cache_implementation": "static", "disable_compile": True}
        ),
        patch=lambda: edited(
            "transformers.cache_utils:StaticSlidingWindowLayer.update",
            ("self.keys.roll(-1, dims=-2)", "self.keys.clone()"),
        ),
    ),
    Fault(
        "phi-feed-forward-lost",
        "Phi leaves out its feed-forward.",
        reference="huggingface/transformers#26170",
        shown_by=lambda: observe.outputs("phi"),
        patch=lambda: edited(
            f"{MODELS}.phi.modeling_phi:PhiDecoderLayer.forward",
            ("attn_outputs + feed_forward_hidden_states + residual", "attn_outputs + residual"),
        ),
        later=True,
    ),
    Fault(
        "gptj-pairs-turned-back",
        "GPT-J rotates its pairs the wrong way.",
        reference="huggingface/transformers#13022",
        shown_by=lambda: observe.outputs("gptj"),
        patch=lambda: edited(f"{MODELS}.gptj.modeling_gptj:rotate_every_two", ("(-x2, x1)", "(x2, -x1)")),
        later=True,
    ),
    Fault(
        "gpt-neo-window-one-too-short",
        "GPT-Neo's local attention sees one token too few.",
        reference="huggingface/transformers#10848",
        shown_by=lambda: observe.generated("gpt_neo"),
        patch=lambda: edited(
            f"{MODELS}.gpt_neo.modeling_gpt_neo:GPTNeoSelfAttention.__init__",
            ("-config.window_size", "1 - config.window_size"),
        ),
        later=True,
    ),
    Fault(
        "marian-encoder-not-scaled",
        "Marian's encoder ignores scale_embedding.",
        reference="huggingface/transformers#31835",
        shown_by=lambda: observe.outputs("marian", scale_embedding=True),
        patch=lambda: edited(
            f"{MODELS}.marian.modeling_marian:MarianEncoder.forward",
            ("self.embed_tokens(input_ids) * self.embed_scale", "self.embed_tokens(input_ids)"),
        ),
        later=True,
    ),
    Fault(
        "albert-one-block-too-few",
        "ALBERT runs its block one time too few.",
        reference="huggingface/transformers#1683",
        shown_by=lambda: observe.outputs("albert"),
        patch=lambda: edited(
            f"{MODELS}.albert.modeling_albert:AlbertTransformer.forward",
            ("range(self.config.num_hidden_layers)", "range(self.config.num_hidden_layers - 1)"),
        ),
        later=True,
    ),
    Fault(
        "modernbert-global-everywhere",
        "ModernBERT's local blocks see all words.",
        reference="huggingface/transformers#35158",
        shown_by=lambda: observe.outputs("modernbert", padded=True),
        patch=lambda: edited(
            f"{MODELS}.modernbert.modeling_modernbert:eager_attention_forward",
            ("if local_attention != (-1, -1):", "if False:"),
        ),
        later=True,
    ),
    Fault(
        "opt-positions-not-offset",
        "OPT's positions start one too early.",
        reference="huggingface/transformers#17088",
        shown_by=lambda: observe.outputs("opt"),
        patch=lambda: edited(
            f"{MODELS}.opt.modeling_opt:OPTLearnedPositionalEmbedding.forward",
            ("position_ids + self.offset", "position_ids + self.offset - 1"),
        ),
        later=True,
    ),
    Fault(
        "gpt-neox-residual-not-parallel",
        "GPT-NeoX's parallel blocks run sequentially.",
        reference="huggingface/transformers#18695",
        shown_by=lambda: observe.outputs("gpt_neox"),
        patch=lambda: edited(
            f"{MODELS}.gpt_neox.modeling_gpt_neox:GPTNeoXLayer.forward",
            ("if self.use_parallel_residual:", "if not self.use_parallel_residual:"),
        ),
        later=True,
    ),
    Fault(
        "olmo2-queries-not-normalised",
        "OLMo 2 leaves out the norm of its queries.",
        reference="huggingface/transformers#34551",
        shown_by=lambda: observe.outputs("olmo2"),
        patch=lambda: edited(
            f"{MODELS}.olmo2.modeling_olmo2:Olmo2Attention.forward",
            ("self.q_norm(self.q_proj(hidden_states))", "self.q_proj(hidden_states)"),
        ),
        later=True,
    ),
    Fault(
        "gemma3-local-positions-global",
        "Gemma 3's local blocks take the positions of the global ones.",
        reference="huggingface/transformers#36658",
        shown_by=lambda: observe.outputs("gemma3", rope_theta=100.0),
        patch=lambda: edited(
            f"{MODELS}.gemma3.modeling_gemma3:Gemma3DecoderLayer.forward",
            ("if self.self_attn.is_sliding:", "if False:"),
        ),
        later=True,
    ),
)
