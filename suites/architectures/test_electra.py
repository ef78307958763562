"""ELECTRA, as a tagger: embeddings narrower than the blocks (arXiv:2003.10555)."""

from suites.architectures.checks import SMALL, Encoder


class TestElectra(Encoder):
    model_class = "ElectraForTokenClassification"
    model_type = "electra"
    lacks = ("test_attention",)
    fields = {**SMALL, "num_attention_heads": 2, "embedding_size": 8, "num_labels": 3, "type_vocab_size": 2}
    switch = {"hidden_act": "relu"}
    weights = """
    3: classifier.bias
    3x16: classifier.weight
    8: electra.embeddings.LayerNorm.{bias,weight}
    64x8: electra.embeddings.position_embeddings.weight
    2x8: electra.embeddings.token_type_embeddings.weight
    36x8: electra.embeddings.word_embeddings.weight
    16: electra.embeddings_project.bias electra.encoder.layer.{0,1}.attention.output.LayerNorm.{bias,weight}
    16: electra.encoder.layer.{0,1}.attention.output.dense.bias
    16: electra.encoder.layer.{0,1}.attention.self.{key,query,value}.bias
    16: electra.encoder.layer.{0,1}.output.LayerNorm.{bias,weight} electra.encoder.layer.{0,1}.output.dense.bias
    16x8: electra.embeddings_project.weight
    16x16: electra.encoder.layer.{0,1}.attention.output.dense.weight
    16x16: electra.encoder.layer.{0,1}.attention.self.{key,query,value}.weight
    24: electra.encoder.layer.{0,1}.intermediate.dense.bias
    24x16: electra.encoder.layer.{0,1}.intermediate.dense.weight
    16x24: electra.encoder.layer.{0,1}.output.dense.weight
    """
