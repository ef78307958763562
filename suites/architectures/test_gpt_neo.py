"""GPT Neo: every other block sees a window only; attention is not scaled."""

from suites.architectures.checks import SMALL, Decoder


class TestGptNeo(Decoder):
    model_class = "GPTNeoForCausalLM"
    model_type = "gpt_neo"
    lacks = ("test_attention", "test_static_cache")
    seed = 4
    fields = {
        **SMALL,
        "tie_word_embeddings": False,
        "num_layers": 2,
        "num_heads": 2,
        "window_size": 4,
        "attention_types": [[["global", "local"], 1]],
    }
    switch = {"window_size": 2}
    weights = """
    36x16: lm_head.weight transformer.wte.weight
    16x16: transformer.h.{0,1}.attn.attention.{k_proj,out_proj,q_proj,v_proj}.weight
    16: transformer.h.{0,1}.attn.attention.out_proj.bias transformer.h.{0,1}.{ln_1,ln_2}.{bias,weight}
    16: transformer.h.{0,1}.mlp.c_proj.bias transformer.ln_f.{bias,weight}
    24: transformer.h.{0,1}.mlp.c_fc.bias
    24x16: transformer.h.{0,1}.mlp.c_fc.weight
    16x24: transformer.h.{0,1}.mlp.c_proj.weight
    64x16: transformer.wpe.weight
    """
