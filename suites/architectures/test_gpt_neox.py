"""GPT-NeoX: parallel attention, rotary positions on a part of a head (arXiv:2204.06745)."""

from suites.architectures.checks import SMALL, Decoder


class TestGptNeox(Decoder):
    model_class = "GPTNeoXForCausalLM"
    model_type = "gpt_neox"
    seed = 7
    gain = 3.5
    fields = {**SMALL, "tie_word_embeddings": False, "rotary_pct": 0.5}
    switch = {"use_parallel_residual": False}
    weights = """
    36x16: embed_out.weight gpt_neox.embed_in.weight
    16: gpt_neox.final_layer_norm.{bias,weight} gpt_neox.layers.{0,1}.attention.dense.bias
    16: gpt_neox.layers.{0,1}.{input_layernorm,post_attention_layernorm}.{bias,weight}
    16: gpt_neox.layers.{0,1}.mlp.dense_4h_to_h.bias
    16x16: gpt_neox.layers.{0,1}.attention.dense.weight
    48: gpt_neox.layers.{0,1}.attention.query_key_value.bias
    48x16: gpt_neox.layers.{0,1}.attention.query_key_value.weight
    16x24: gpt_neox.layers.{0,1}.mlp.dense_4h_to_h.weight
    24: gpt_neox.layers.{0,1}.mlp.dense_h_to_4h.bias
    24x16: gpt_neox.layers.{0,1}.mlp.dense_h_to_4h.weight
    """
