"""Llama: rotary positions, grouped-query attention, a gated feed-forward (arXiv:2302.13971)."""

from suites.architectures.checks import SMALL, Decoder


class TestLlama(Decoder):
    model_class = "LlamaForCausalLM"
    model_type = "llama"
    needs = ("4.31", "grouped heads")
    gain = 2.0
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 2}
    switch = {"rope_scaling": {"type": "linear", "factor": 4.0}}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    8x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x16: model.layers.{0,1}.self_attn.{o_proj,q_proj}.weight
    """
