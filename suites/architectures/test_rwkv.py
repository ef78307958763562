"""RWKV: a recurrent network that is trained as a transformer (arXiv:2305.13048)."""

from suites.architectures.checks import SMALL, Decoder


class TestRwkv(Decoder):
    model_class = "RwkvForCausalLM"
    model_type = "rwkv"
    lacks = ("test_attention", "test_static_cache")
    seed = 4
    gain = 3.5
    fields = {**SMALL, "tie_word_embeddings": False, "attention_hidden_size": 16, "context_length": 64}
    switch = {"layer_norm_epsilon": 0.1}
    beams_cached = False  # upstream does not reorder the state with the beams; test_cache says so
    without = (*Decoder.without, "test_batch", "test_padding")  # it takes no mask: padding is read as words
    weights = """
    36x16: head.weight rwkv.embeddings.weight
    16x16: rwkv.blocks.{0,1}.attention.{key,output,receptance,value}.weight
    16x16: rwkv.blocks.{0,1}.feed_forward.receptance.weight
    16: rwkv.blocks.{0,1}.attention.{time_decay,time_first} rwkv.blocks.0.{ln1,ln2,pre_ln}.{bias,weight}
    16: rwkv.blocks.1.{ln1,ln2}.{bias,weight} rwkv.ln_out.{bias,weight}
    1x1x16: rwkv.blocks.{0,1}.attention.{time_mix_key,time_mix_receptance,time_mix_value}
    1x1x16: rwkv.blocks.{0,1}.feed_forward.{time_mix_key,time_mix_receptance}
    24x16: rwkv.blocks.{0,1}.feed_forward.key.weight
    16x24: rwkv.blocks.{0,1}.feed_forward.value.weight
    """
