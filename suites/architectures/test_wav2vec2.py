"""Wav2Vec2, with a CTC head: convolutions over the sound (arXiv:2006.11477)."""

from suites.architectures.checks import Other


class TestWav2vec2(Other):
    model_class = "Wav2Vec2ForCTC"
    model_type = "wav2vec2"
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
    12: lm_head.bias
    12x16: lm_head.weight
    16: wav2vec2.encoder.layer_norm.{bias,weight}
    16: wav2vec2.encoder.layers.{0,1}.attention.{k_proj,out_proj,q_proj,v_proj}.bias
    16: wav2vec2.encoder.layers.{0,1}.feed_forward.output_dense.bias
    16: wav2vec2.encoder.layers.{0,1}.{final_layer_norm,layer_norm}.{bias,weight}
    16: wav2vec2.encoder.pos_conv_embed.conv.bias wav2vec2.feature_projection.projection.bias
    16x16: wav2vec2.encoder.layers.{0,1}.attention.{k_proj,out_proj,q_proj,v_proj}.weight
    24: wav2vec2.encoder.layers.{0,1}.feed_forward.intermediate_dense.bias
    24x16: wav2vec2.encoder.layers.{0,1}.feed_forward.intermediate_dense.weight
    16x24: wav2vec2.encoder.layers.{0,1}.feed_forward.output_dense.weight
    1x1x4: wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0
    16x8x4: wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1
    8x1x10: wav2vec2.feature_extractor.conv_layers.0.conv.weight
    8: wav2vec2.feature_extractor.conv_layers.0.layer_norm.{bias,weight}
    8: wav2vec2.feature_projection.layer_norm.{bias,weight}
    8x8x10: wav2vec2.feature_extractor.conv_layers.1.conv.weight
    16x8: wav2vec2.feature_projection.projection.weight
    """
