"""GPT-J: rotary positions that turn neighbouring numbers."""

from suites.architectures.checks import SMALL, Decoder


class TestGptj(Decoder):
    model_class = "GPTJForCausalLM"
    model_type = "gptj"
    lacks = ("test_attention",)
    seed = 1
    gain = 2.5
    fields = {
        **SMALL,
        "tie_word_embeddings": False,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_inner": 24,
        "rotary_dim": 4,
        "n_positions": 64,
    }
    switch = {"activation_function": "relu"}
    weights = """
    36: lm_head.bias
    36x16: lm_head.weight transformer.wte.weight
    16x16: transformer.h.{0,1}.attn.{k_proj,out_proj,q_proj,v_proj}.weight
    16: transformer.h.{0,1}.ln_1.{bias,weight} transformer.h.{0,1}.mlp.fc_out.bias transformer.ln_f.{bias,weight}
    24: transformer.h.{0,1}.mlp.fc_in.bias
    24x16: transformer.h.{0,1}.mlp.fc_in.weight
    16x24: transformer.h.{0,1}.mlp.fc_out.weight
    """
