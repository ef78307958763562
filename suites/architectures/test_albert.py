"""ALBERT, with a masked word's head: one block, run many times (arXiv:1909.11942)."""

from suites.architectures.checks import SMALL, Encoder


class TestAlbert(Encoder):
    model_class = "AlbertForMaskedLM"
    model_type = "albert"
    fields = {
        **SMALL,
        "num_attention_heads": 2,
        "embedding_size": 8,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "type_vocab_size": 2,
    }
    switch = {"num_hidden_layers": 3}
    weights = """
    8: albert.embeddings.LayerNorm.{bias,weight} predictions.LayerNorm.{bias,weight} predictions.dense.bias
    64x8: albert.embeddings.position_embeddings.weight
    2x8: albert.embeddings.token_type_embeddings.weight
    36x8: albert.embeddings.word_embeddings.weight
    16: albert.encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.{bias,weight}
    16: albert.encoder.albert_layer_groups.0.albert_layers.0.attention.{dense,key,query,value}.bias
    16: albert.encoder.albert_layer_groups.0.albert_layers.0.{ffn_output,full_layer_layer_norm}.bias
    16: albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight
    16: albert.encoder.embedding_hidden_mapping_in.bias
    16x16: albert.encoder.albert_layer_groups.0.albert_layers.0.attention.{dense,key,query,value}.weight
    24: albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.bias
    24x16: albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight
    16x24: albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight
    16x8: albert.encoder.embedding_hidden_mapping_in.weight
    36: predictions.bias
    8x16: predictions.dense.weight
    """
