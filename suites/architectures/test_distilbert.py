"""DistilBERT, as a classifier (arXiv:1910.01108)."""

from suites.architectures.checks import SMALL, Encoder


class TestDistilbert(Encoder):
    model_class = "DistilBertForSequenceClassification"
    model_type = "distilbert"
    fields = {
        **SMALL,
        "num_attention_heads": 2,
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 24,
        "num_labels": 3,
    }
    switch = {"activation": "relu"}
    weights = """
    3: classifier.bias
    3x16: classifier.weight
    16: distilbert.embeddings.LayerNorm.{bias,weight}
    16: distilbert.transformer.layer.{0,1}.attention.{k_lin,out_lin,q_lin,v_lin}.bias
    16: distilbert.transformer.layer.{0,1}.ffn.lin2.bias
    16: distilbert.transformer.layer.{0,1}.{output_layer_norm,sa_layer_norm}.{bias,weight} pre_classifier.bias
    64x16: distilbert.embeddings.position_embeddings.weight
    36x16: distilbert.embeddings.word_embeddings.weight
    16x16: distilbert.transformer.layer.{0,1}.attention.{k_lin,out_lin,q_lin,v_lin}.weight pre_classifier.weight
    24: distilbert.transformer.layer.{0,1}.ffn.lin1.bias
    24x16: distilbert.transformer.layer.{0,1}.ffn.lin1.weight
    16x24: distilbert.transformer.layer.{0,1}.ffn.lin2.weight
    """
