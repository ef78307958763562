"""ModernBERT, as a classifier: local attention, rotary positions (arXiv:2412.13663)."""

from suites.architectures.checks import SMALL, Encoder


class TestModernbert(Encoder):
    model_class = "ModernBertForSequenceClassification"
    model_type = "modernbert"
    since = "4.48"
    fields = {
        **SMALL,
        "num_attention_heads": 2,
        "num_labels": 3,
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "deterministic_flash_attn": False,
        "reference_compile": False,
    }
    switch = {"global_attn_every_n_layers": 1}
    weights = """
    3: classifier.bias
    3x16: classifier.weight
    16x16: head.dense.weight model.layers.{0,1}.attn.Wo.weight
    16: head.norm.weight model.embeddings.norm.weight model.final_norm.weight model.layers.{0,1}.mlp_norm.weight
    16: model.layers.1.attn_norm.weight
    36x16: model.embeddings.tok_embeddings.weight
    48x16: model.layers.{0,1}.attn.Wqkv.weight model.layers.{0,1}.mlp.Wi.weight
    16x24: model.layers.{0,1}.mlp.Wo.weight
    """
