"""OLMo 2: norms behind attention and feed-forward (arXiv:2501.00656)."""

from suites.architectures.checks import SMALL, Decoder


class TestOlmo2(Decoder):
    model_class = "Olmo2ForCausalLM"
    model_type = "olmo2"
    since = "4.47"
    seed = 3
    gain = 3.5
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 2}
    switch = {"rope_theta": 100.0}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    16: model.layers.{0,1}.{post_attention_layernorm,post_feedforward_layernorm}.weight
    16: model.layers.{0,1}.self_attn.q_norm.weight model.norm.weight
    8: model.layers.{0,1}.self_attn.k_norm.weight
    8x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x16: model.layers.{0,1}.self_attn.{o_proj,q_proj}.weight
    """
