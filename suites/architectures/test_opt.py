"""OPT: learned positions that start at 2 (arXiv:2205.01068)."""

from suites.architectures.checks import SMALL, Decoder


class TestOpt(Decoder):
    model_class = "OPTForCausalLM"
    model_type = "opt"
    seed = 2
    gain = 2.5
    fields = {**SMALL, "tie_word_embeddings": False, "ffn_dim": 24, "word_embed_proj_dim": 16}
    switch = {"activation_function": "gelu"}
    weights = """
    36x16: lm_head.weight model.decoder.embed_tokens.weight
    66x16: model.decoder.embed_positions.weight
    16: model.decoder.final_layer_norm.{bias,weight}
    16: model.decoder.layers.{0,1}.{fc2,final_layer_norm,self_attn_layer_norm}.bias
    16: model.decoder.layers.{0,1}.{final_layer_norm,self_attn_layer_norm}.weight
    16: model.decoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.bias
    24: model.decoder.layers.{0,1}.fc1.bias
    24x16: model.decoder.layers.{0,1}.fc1.weight
    16x24: model.decoder.layers.{0,1}.fc2.weight
    16x16: model.decoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    """
