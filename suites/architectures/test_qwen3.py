"""Qwen3: queries and keys are normalised per head (arXiv:2505.09388)."""

from suites.architectures.checks import SMALL, Decoder


class TestQwen3(Decoder):
    model_class = "Qwen3ForCausalLM"
    model_type = "qwen3"
    since = "4.51"
    seed = 6
    gain = 2.0
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 2, "head_dim": 8}
    switch = {"rms_norm_eps": 0.1}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    8: model.layers.{0,1}.self_attn.{k_norm,q_norm}.weight
    16x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x32: model.layers.{0,1}.self_attn.o_proj.weight
    32x16: model.layers.{0,1}.self_attn.q_proj.weight
    """
