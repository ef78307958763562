"""Qwen2: as Llama, with biases on queries, keys and values (arXiv:2407.10671)."""

from suites.architectures.checks import SMALL, Decoder


class TestQwen2(Decoder):
    model_class = "Qwen2ForCausalLM"
    model_type = "qwen2"
    since = "4.37"
    gain = 3.5
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 2}
    switch = {"rope_theta": 100.0}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight
    16: model.layers.{0,1}.self_attn.q_proj.bias model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    8: model.layers.{0,1}.self_attn.{k_proj,v_proj}.bias
    8x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x16: model.layers.{0,1}.self_attn.{o_proj,q_proj}.weight
    """
