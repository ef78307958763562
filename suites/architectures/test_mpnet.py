"""MPNet, for embeddings: relative positions (arXiv:2004.09297)."""

from suites.architectures.checks import SMALL, Encoder


class TestMpnet(Encoder):
    model_class = "MPNetModel"
    model_type = "mpnet"
    lacks = ("test_attention",)
    fields = {**SMALL, "num_attention_heads": 2, "relative_attention_num_buckets": 32}
    switch = {"layer_norm_eps": 0.1}
    weights = """
    16: embeddings.LayerNorm.{bias,weight} encoder.layer.{0,1}.{attention,output}.LayerNorm.{bias,weight}
    16: encoder.layer.{0,1}.attention.attn.{k,o,q,v}.bias encoder.layer.{0,1}.output.dense.bias pooler.dense.bias
    64x16: embeddings.position_embeddings.weight
    36x16: embeddings.word_embeddings.weight
    16x16: encoder.layer.{0,1}.attention.attn.{k,o,q,v}.weight pooler.dense.weight
    24: encoder.layer.{0,1}.intermediate.dense.bias
    24x16: encoder.layer.{0,1}.intermediate.dense.weight
    16x24: encoder.layer.{0,1}.output.dense.weight
    32x2: encoder.relative_attention_bias.weight
    """
