"""Falcon with the decoder of its later models: grouped keys, two norms side by side (arXiv:2311.16867)."""

from suites.architectures.checks import SMALL, Decoder


class TestFalcon(Decoder):
    model_class = "FalconForCausalLM"
    model_type = "falcon"
    since = "4.33"
    seed = 2
    gain = 2.5
    fields = {
        **SMALL,
        "tie_word_embeddings": False,
        "new_decoder_architecture": True,
        "num_kv_heads": 2,
        "alibi": False,
        "parallel_attn": True,
        "bias": False,
    }
    switch = {"alibi": True}
    weights = """
    36x16: lm_head.weight transformer.word_embeddings.weight
    16: transformer.h.{0,1}.{ln_attn,ln_mlp}.{bias,weight} transformer.ln_f.{bias,weight}
    16x64: transformer.h.{0,1}.mlp.dense_4h_to_h.weight
    64x16: transformer.h.{0,1}.mlp.dense_h_to_4h.weight
    16x16: transformer.h.{0,1}.self_attention.dense.weight
    32x16: transformer.h.{0,1}.self_attention.query_key_value.weight
    """
