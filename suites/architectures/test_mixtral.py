"""Mixtral: two of four experts a token (arXiv:2401.04088)."""

from suites.architectures.checks import SMALL, Decoder


class TestMixtral(Decoder):
    model_class = "MixtralForCausalLM"
    model_type = "mixtral"
    lacks = ("test_static_cache",)
    since = "4.36"
    seed = 4
    gain = 3.5
    fields = {
        **SMALL,
        "tie_word_embeddings": False,
        "num_key_value_heads": 2,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
    }
    switch = {"num_experts_per_tok": 1}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    24x16: model.layers.{0,1}.block_sparse_moe.experts.{0,1,2,3}.{w1,w3}.weight
    16x24: model.layers.{0,1}.block_sparse_moe.experts.{0,1,2,3}.w2.weight
    4x16: model.layers.{0,1}.block_sparse_moe.gate.weight
    16: model.layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight model.norm.weight
    8x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x16: model.layers.{0,1}.self_attn.{o_proj,q_proj}.weight
    """
