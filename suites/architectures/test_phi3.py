"""Phi-3: joint projections, no grouped heads by default (arXiv:2404.14219)."""

from suites.architectures.checks import SMALL, Decoder


class TestPhi3(Decoder):
    model_class = "Phi3ForCausalLM"
    model_type = "phi3"
    since = "4.41"
    gain = 2.0
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 2}
    switch = {"sliding_window": 3}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    48x16: model.layers.{0,1}.mlp.gate_up_proj.weight
    16x16: model.layers.{0,1}.self_attn.o_proj.weight
    32x16: model.layers.{0,1}.self_attn.qkv_proj.weight
    """
