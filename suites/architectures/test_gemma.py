"""Gemma: norms around 1, embeddings scaled by the width, one key for all heads (arXiv:2403.08295)."""

from suites.architectures.checks import SMALL, Decoder


class TestGemma(Decoder):
    model_class = "GemmaForCausalLM"
    model_type = "gemma"
    since = "4.38"
    seed = 3
    gain = 3.5
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 1, "head_dim": 8}
    switch = {"rms_norm_eps": 0.1}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    8x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x32: model.layers.{0,1}.self_attn.o_proj.weight
    32x16: model.layers.{0,1}.self_attn.q_proj.weight
    """
