"""DETR: objects as queries over a convolutional backbone (arXiv:2005.12872)."""

from suites.architectures.checks import Other


class TestDetr(Other):
    model_class = "DetrForObjectDetection"
    model_type = "detr"
    lacks = ("test_attention",)
    fields = {
        "use_timm_backbone": False,
        "backbone": None,
        "use_pretrained_backbone": False,
        "backbone_config": {
            "model_type": "resnet",
            "embedding_size": 8,
            "hidden_sizes": [8, 8],
            "depths": [1, 1],
            "layer_type": "basic",
            "out_features": ["stage2"],
        },
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "num_queries": 4,
        "num_labels": 3,
    }
    switch = {"encoder_attention_heads": 4}
    weights = """
    16: bbox_predictor.layers.{0,1}.bias model.decoder.layernorm.{bias,weight}
    16: model.decoder.layers.{0,1}.{encoder_attn,self_attn}.{k_proj,out_proj,q_proj,v_proj}.bias
    16: model.decoder.layers.{0,1}.encoder_attn_layer_norm.{bias,weight}
    16: model.decoder.layers.{0,1}.{fc2,final_layer_norm,self_attn_layer_norm}.bias
    16: model.decoder.layers.{0,1}.{final_layer_norm,self_attn_layer_norm}.weight
    16: model.encoder.layers.0.{fc2,final_layer_norm,self_attn_layer_norm}.bias
    16: model.encoder.layers.0.{final_layer_norm,self_attn_layer_norm}.weight
    16: model.encoder.layers.0.self_attn.{k_proj,out_proj,q_proj,v_proj}.bias model.input_projection.bias
    16x16: bbox_predictor.layers.{0,1}.weight
    16x16: model.decoder.layers.{0,1}.{encoder_attn,self_attn}.{k_proj,out_proj,q_proj,v_proj}.weight
    16x16: model.encoder.layers.0.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    4: bbox_predictor.layers.2.bias class_labels_classifier.bias
    4x16: bbox_predictor.layers.2.weight class_labels_classifier.weight model.query_position_embeddings.weight
    8x3x7x7: model.backbone.conv_encoder.model.embedder.embedder.convolution.weight
    8: model.backbone.conv_encoder.model.embedder.embedder.normalization.{bias,running_mean,running_var,weight}
    8: model.backbone.conv_encoder.model.encoder.stages.{0,1}.layers.0.layer.{0,1}.normalization.{bias,running_mean}
    8: model.backbone.conv_encoder.model.encoder.stages.{0,1}.layers.0.layer.{0,1}.normalization.{running_var,weight}
    8: model.backbone.conv_encoder.model.encoder.stages.1.layers.0.shortcut.normalization.{bias,running_mean}
    8: model.backbone.conv_encoder.model.encoder.stages.1.layers.0.shortcut.normalization.{running_var,weight}
    8x8x3x3: model.backbone.conv_encoder.model.encoder.stages.{0,1}.layers.0.layer.{0,1}.convolution.weight
    8x8x1x1: model.backbone.conv_encoder.model.encoder.stages.1.layers.0.shortcut.convolution.weight
    24: model.decoder.layers.{0,1}.fc1.bias model.encoder.layers.0.fc1.bias
    24x16: model.decoder.layers.{0,1}.fc1.weight model.encoder.layers.0.fc1.weight
    16x24: model.decoder.layers.{0,1}.fc2.weight model.encoder.layers.0.fc2.weight
    16x8x1x1: model.input_projection.weight
    """
