"""Command R: one norm for attention and feed-forward, scaled logits, interleaved rotary positions."""

from suites.architectures.checks import SMALL, Decoder


class TestCohere(Decoder):
    model_class = "CohereForCausalLM"
    model_type = "cohere"
    since = "4.39"
    gain = 3.5
    fields = {**SMALL, "tie_word_embeddings": False, "num_key_value_heads": 2, "logit_scale": 1.0}
    switch = {"logit_scale": 0.25}
    weights = """
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.layers.{0,1}.input_layernorm.weight model.norm.weight
    16x24: model.layers.{0,1}.mlp.down_proj.weight
    24x16: model.layers.{0,1}.mlp.{gate_proj,up_proj}.weight
    8x16: model.layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x16: model.layers.{0,1}.self_attn.{o_proj,q_proj}.weight
    """
