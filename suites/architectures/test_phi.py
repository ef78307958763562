"""Phi: attention and feed-forward side by side, rotary positions on half a head (arXiv:2306.11644)."""

from suites.architectures.checks import SMALL, Decoder


class TestPhi(Decoder):
    model_class = "PhiForCausalLM"
    model_type = "phi"
    since = "4.36"
    needs = ("4.37", "separate weights of queries, keys and values")
    gain = 2.0
    fields = {**SMALL, "tie_word_embeddings": False, "partial_rotary_factor": 0.5}
    switch = {"partial_rotary_factor": 1.0}
    weights = """
    36: lm_head.bias
    36x16: lm_head.weight model.embed_tokens.weight
    16: model.final_layernorm.{bias,weight} model.layers.{0,1}.input_layernorm.{bias,weight}
    16: model.layers.{0,1}.mlp.fc2.bias model.layers.{0,1}.self_attn.{dense,k_proj,q_proj,v_proj}.bias
    24: model.layers.{0,1}.mlp.fc1.bias
    24x16: model.layers.{0,1}.mlp.fc1.weight
    16x24: model.layers.{0,1}.mlp.fc2.weight
    16x16: model.layers.{0,1}.self_attn.{dense,k_proj,q_proj,v_proj}.weight
    """
