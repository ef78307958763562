"""T5: relative positions, unscaled attention, a gated feed-forward (arXiv:1910.10683)."""

from suites.architectures.checks import EncoderDecoder


class TestT5(EncoderDecoder):
    model_class = "T5ForConditionalGeneration"
    model_type = "t5"
    lacks = ("test_attention",)
    seed = 7
    gain = 2.0
    fields = {
        "vocab_size": 36,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 24,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 2,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 16,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": None,
        "decoder_start_token_id": 0,
    }
    switch = {"relative_attention_max_distance": 6}
    weights = """
    16x16: {decoder,encoder}.block.{0,1}.layer.0.SelfAttention.{k,o,q,v}.weight
    16x16: decoder.block.{0,1}.layer.1.EncDecAttention.{k,o,q,v}.weight
    8x2: {decoder,encoder}.block.0.layer.0.SelfAttention.relative_attention_bias.weight
    16: decoder.block.{0,1}.layer.{0,1,2}.layer_norm.weight {decoder,encoder}.final_layer_norm.weight
    16: encoder.block.{0,1}.layer.{0,1}.layer_norm.weight
    24x16: decoder.block.{0,1}.layer.2.DenseReluDense.{wi_0,wi_1}.weight
    24x16: encoder.block.{0,1}.layer.1.DenseReluDense.{wi_0,wi_1}.weight
    16x24: decoder.block.{0,1}.layer.2.DenseReluDense.wo.weight
    16x24: encoder.block.{0,1}.layer.1.DenseReluDense.wo.weight
    36x16: {lm_head,shared}.weight
    """
