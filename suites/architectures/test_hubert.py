"""HuBERT, with a CTC head (arXiv:2106.07447)."""

from suites.architectures.checks import Other


class TestHubert(Other):
    model_class = "HubertForCTC"
    model_type = "hubert"
    fields = {
        "vocab_size": 12,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_dim": [8, 8],
        "conv_stride": [10, 10],
        "conv_kernel": [10, 10],
        "num_feat_extract_layers": 2,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
        "pad_token_id": 0,
        "mask_time_prob": 0.0,
    }
    switch = {"do_stable_layer_norm": True}
    weights = """
    16: hubert.encoder.layer_norm.{bias,weight}
    16: hubert.encoder.layers.{0,1}.attention.{k_proj,out_proj,q_proj,v_proj}.bias
    16: hubert.encoder.layers.{0,1}.feed_forward.output_dense.bias
    16: hubert.encoder.layers.{0,1}.{final_layer_norm,layer_norm}.{bias,weight}
    16: hubert.encoder.pos_conv_embed.conv.bias hubert.feature_projection.projection.bias
    16x16: hubert.encoder.layers.{0,1}.attention.{k_proj,out_proj,q_proj,v_proj}.weight
    24: hubert.encoder.layers.{0,1}.feed_forward.intermediate_dense.bias
    24x16: hubert.encoder.layers.{0,1}.feed_forward.intermediate_dense.weight
    16x24: hubert.encoder.layers.{0,1}.feed_forward.output_dense.weight
    1x1x4: hubert.encoder.pos_conv_embed.conv.parametrizations.weight.original0
    16x8x4: hubert.encoder.pos_conv_embed.conv.parametrizations.weight.original1
    8x1x10: hubert.feature_extractor.conv_layers.0.conv.weight
    8: hubert.feature_extractor.conv_layers.0.layer_norm.{bias,weight}
    8: hubert.feature_projection.layer_norm.{bias,weight}
    8x8x10: hubert.feature_extractor.conv_layers.1.conv.weight
    16x8: hubert.feature_projection.projection.weight
    12: lm_head.bias
    12x16: lm_head.weight
    """
