"""RoBERTa, as a tagger: positions that start behind the padding's (arXiv:1907.11692)."""

from suites.architectures.checks import SMALL, Encoder


class TestRoberta(Encoder):
    model_class = "RobertaForTokenClassification"
    model_type = "roberta"
    fields = {**SMALL, "num_attention_heads": 2, "num_labels": 3, "type_vocab_size": 1}
    switch = {"num_attention_heads": 4}
    weights = """
    3: classifier.bias
    3x16: classifier.weight
    16: roberta.embeddings.LayerNorm.{bias,weight}
    16: roberta.encoder.layer.{0,1}.attention.output.LayerNorm.{bias,weight}
    16: roberta.encoder.layer.{0,1}.attention.output.dense.bias
    16: roberta.encoder.layer.{0,1}.attention.self.{key,query,value}.bias
    16: roberta.encoder.layer.{0,1}.output.LayerNorm.{bias,weight} roberta.encoder.layer.{0,1}.output.dense.bias
    64x16: roberta.embeddings.position_embeddings.weight
    1x16: roberta.embeddings.token_type_embeddings.weight
    36x16: roberta.embeddings.word_embeddings.weight
    16x16: roberta.encoder.layer.{0,1}.attention.output.dense.weight
    16x16: roberta.encoder.layer.{0,1}.attention.self.{key,query,value}.weight
    24: roberta.encoder.layer.{0,1}.intermediate.dense.bias
    24x16: roberta.encoder.layer.{0,1}.intermediate.dense.weight
    16x24: roberta.encoder.layer.{0,1}.output.dense.weight
    """
