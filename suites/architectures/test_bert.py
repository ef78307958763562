"""BERT, as a classifier: learned positions, norms behind (arXiv:1810.04805)."""

from suites.architectures.checks import SMALL, Encoder


class TestBert(Encoder):
    model_class = "BertForSequenceClassification"
    model_type = "bert"
    fields = {**SMALL, "num_attention_heads": 2, "num_labels": 3, "type_vocab_size": 2}
    switch = {"num_attention_heads": 4}
    weights = """
    16: bert.embeddings.LayerNorm.{bias,weight} bert.encoder.layer.{0,1}.attention.output.LayerNorm.{bias,weight}
    16: bert.encoder.layer.{0,1}.attention.output.dense.bias
    16: bert.encoder.layer.{0,1}.attention.self.{key,query,value}.bias
    16: bert.encoder.layer.{0,1}.output.LayerNorm.{bias,weight} bert.encoder.layer.{0,1}.output.dense.bias
    16: bert.pooler.dense.bias
    64x16: bert.embeddings.position_embeddings.weight
    2x16: bert.embeddings.token_type_embeddings.weight
    36x16: bert.embeddings.word_embeddings.weight
    16x16: bert.encoder.layer.{0,1}.attention.output.dense.weight
    16x16: bert.encoder.layer.{0,1}.attention.self.{key,query,value}.weight bert.pooler.dense.weight
    24: bert.encoder.layer.{0,1}.intermediate.dense.bias
    24x16: bert.encoder.layer.{0,1}.intermediate.dense.weight
    16x24: bert.encoder.layer.{0,1}.output.dense.weight
    3: classifier.bias
    3x16: classifier.weight
    """
