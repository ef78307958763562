"""CLIP: texts and images in one space (arXiv:2103.00020)."""

from suites.architectures.checks import SMALL, VISION, Pairs


class TestClip(Pairs):
    model_class = "CLIPModel"
    model_type = "clip"
    fields = {
        "text_config": {**SMALL, "num_attention_heads": 2, "eos_token_id": 2, "projection_dim": 8},
        "vision_config": {**VISION, "projection_dim": 8},
        "projection_dim": 8,
    }
    switch = {"vision_config": {**VISION, "projection_dim": 8, "hidden_act": "gelu"}}
    weights = """
    (): logit_scale
    64x16: text_model.embeddings.position_embedding.weight
    36x16: text_model.embeddings.token_embedding.weight
    16: {text_model,vision_model}.encoder.layers.{0,1}.{layer_norm1,layer_norm2}.{bias,weight}
    16: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc2.bias
    16: {text_model,vision_model}.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.bias
    16: text_model.final_layer_norm.{bias,weight} vision_model.embeddings.class_embedding
    16: vision_model.{post_layernorm,pre_layrnorm}.{bias,weight}
    24: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc1.bias
    24x16: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc1.weight
    16x24: {text_model,vision_model}.encoder.layers.{0,1}.mlp.fc2.weight
    16x16: {text_model,vision_model}.encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    8x16: {text_projection,visual_projection}.weight
    16x3x8x8: vision_model.embeddings.patch_embedding.weight
    5x16: vision_model.embeddings.position_embedding.weight
    """
