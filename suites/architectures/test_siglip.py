"""SigLIP: as CLIP, each pair on its own; attention pools the image (arXiv:2303.15343)."""

from suites.architectures.checks import SMALL, VISION, Pairs


class TestSiglip(Pairs):
    model_class = "SiglipModel"
    model_type = "siglip"
    sentencepiece = True
    since = "4.37"
    fields = {"text_config": {**SMALL, "num_attention_heads": 2, "eos_token_id": 3}, "vision_config": {**VISION}}
    switch = {"vision_config": {**VISION, "hidden_act": "relu"}}
    without = (*Pairs.without, "test_padding")  # its text model takes no mask
    weights = """
    1: {logit_bias,logit_scale}
    64x16: text_model.embeddings.position_embedding.weight
    36x16: text_model.embeddings.token_embedding.weight
    16: {text_model,vision_model}.encoder.layers.{0,1}.{layer_norm1,layer_norm2}.{bias,weight}
    16: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc2.bias
    16: {text_model,vision_model}.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.bias
    16: text_model.final_layer_norm.{bias,weight} text_model.head.bias
    16: vision_model.embeddings.patch_embedding.bias vision_model.head.attention.out_proj.bias
    16: vision_model.head.layernorm.{bias,weight} vision_model.head.mlp.fc2.bias
    16: vision_model.post_layernorm.{bias,weight}
    24: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc1.bias vision_model.head.mlp.fc1.bias
    24x16: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc1.weight vision_model.head.mlp.fc1.weight
    16x24: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc2.weight vision_model.head.mlp.fc2.weight
    16x16: {text_model,vision_model}.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    16x16: text_model.head.weight vision_model.head.attention.out_proj.weight
    16x3x8x8: vision_model.embeddings.patch_embedding.weight
    4x16: vision_model.embeddings.position_embedding.weight
    48: vision_model.head.attention.in_proj_bias
    48x16: vision_model.head.attention.in_proj_weight
    1x1x16: vision_model.head.probe
    """
