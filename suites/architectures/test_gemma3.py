"""Gemma 3: local and global blocks with rotary positions of their own (arXiv:2503.19786)."""

from suites.architectures.checks import SMALL, Decoder


class TestGemma3(Decoder):
    model_class = "Gemma3ForCausalLM"
    model_type = "gemma3_text"
    since = "4.50"
    gain = 2.5
    fields = {
        **SMALL,
        "tie_word_embeddings": False,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window_pattern": 2,
    }
    switch = {"sliding_window": 3}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight
    16: model.layers.{0,1}.{post_feedforward_layernorm,pre_feedforward_layernorm}.weight
    16: model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    8: model.layers.{0,1}.self_attn.{k_norm,q_norm}.weight
    16x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x32: model.layers.{0,1}.self_attn.o_proj.weight
    32x16: model.layers.{0,1}.self_attn.q_proj.weight
    """
