"""BLOOM: ALiBi instead of positions (arXiv:2211.05100)."""

from suites.architectures.checks import SMALL, Decoder


class TestBloom(Decoder):
    model_class = "BloomForCausalLM"
    model_type = "bloom"
    lacks = ("test_attention",)
    seed = 4
    gain = 2.0
    fields = {**SMALL, "tie_word_embeddings": False, "n_layer": 2, "n_head": 4}
    switch = {"apply_residual_connection_post_layernorm": True}
    weights = """
    36x16: lm_head.weight transformer.word_embeddings.weight
    16: transformer.h.{0,1}.{input_layernorm,post_attention_layernorm}.{bias,weight}
    16: transformer.h.{0,1}.mlp.dense_4h_to_h.bias transformer.h.{0,1}.self_attention.dense.bias
    16: transformer.{ln_f,word_embeddings_layernorm}.{bias,weight}
    16x64: transformer.h.{0,1}.mlp.dense_4h_to_h.weight
    64: transformer.h.{0,1}.mlp.dense_h_to_4h.bias
    64x16: transformer.h.{0,1}.mlp.dense_h_to_4h.weight
    16x16: transformer.h.{0,1}.self_attention.dense.weight
    48: transformer.h.{0,1}.self_attention.query_key_value.bias
    48x16: transformer.h.{0,1}.self_attention.query_key_value.weight
    """
