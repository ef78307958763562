"""DeBERTa-v2, as a classifier: content and position attend to each other (arXiv:2006.03654)."""

from suites.architectures.checks import SMALL, Encoder


class TestDebertaV2(Encoder):
    model_class = "DebertaV2ForSequenceClassification"
    model_type = "deberta-v2"
    lacks = ("test_attention",)
    fields = {
        **SMALL,
        "num_attention_heads": 2,
        "num_labels": 3,
        "type_vocab_size": 0,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "max_relative_positions": -1,
        "pooler_hidden_size": 16,
    }
    switch = {"pos_att_type": ["c2p"]}
    weights = """
    3: classifier.bias
    3x16: classifier.weight
    16: deberta.{embeddings,encoder}.LayerNorm.{bias,weight}
    16: deberta.encoder.layer.{0,1}.attention.output.LayerNorm.{bias,weight}
    16: deberta.encoder.layer.{0,1}.attention.output.dense.bias
    16: deberta.encoder.layer.{0,1}.attention.self.{key_proj,query_proj,value_proj}.bias
    16: deberta.encoder.layer.{0,1}.output.LayerNorm.{bias,weight} deberta.encoder.layer.{0,1}.output.dense.bias
    16: pooler.dense.bias
    64x16: deberta.embeddings.position_embeddings.weight
    36x16: deberta.embeddings.word_embeddings.weight
    16x16: deberta.encoder.layer.{0,1}.attention.output.dense.weight
    16x16: deberta.encoder.layer.{0,1}.attention.self.{key_proj,query_proj,value_proj}.weight
    16x16: deberta.encoder.rel_embeddings.weight pooler.dense.weight
    24: deberta.encoder.layer.{0,1}.intermediate.dense.bias
    24x16: deberta.encoder.layer.{0,1}.intermediate.dense.weight
    16x24: deberta.encoder.layer.{0,1}.output.dense.weight
    """
