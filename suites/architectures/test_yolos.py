"""YOLOS: a ViT with words for objects (arXiv:2106.00666)."""

from suites.architectures.checks import VISION, Other


class TestYolos(Other):
    model_class = "YolosForObjectDetection"
    model_type = "yolos"
    fields = {**VISION, "image_size": [16, 16], "num_detection_tokens": 4, "num_labels": 3}
    switch = {"num_attention_heads": 4}
    weights = """
    16: {bbox_predictor,class_labels_classifier}.layers.{0,1}.bias vit.embeddings.patch_embeddings.projection.bias
    16: vit.encoder.layer.{0,1}.attention.attention.{key,query,value}.bias
    16: vit.encoder.layer.{0,1}.attention.output.dense.bias
    16: vit.encoder.layer.{0,1}.{layernorm_after,layernorm_before}.{bias,weight}
    16: vit.encoder.layer.{0,1}.output.dense.bias vit.layernorm.{bias,weight}
    16x16: {bbox_predictor,class_labels_classifier}.layers.{0,1}.weight
    16x16: vit.encoder.layer.{0,1}.attention.attention.{key,query,value}.weight
    16x16: vit.encoder.layer.{0,1}.attention.output.dense.weight
    4: {bbox_predictor,class_labels_classifier}.layers.2.bias
    4x16: {bbox_predictor,class_labels_classifier}.layers.2.weight
    1x1x16: vit.embeddings.cls_token
    1x4x16: vit.embeddings.detection_tokens
    16x3x8x8: vit.embeddings.patch_embeddings.projection.weight
    1x9x16: vit.embeddings.position_embeddings
    24: vit.encoder.layer.{0,1}.intermediate.dense.bias
    24x16: vit.encoder.layer.{0,1}.intermediate.dense.weight
    16x24: vit.encoder.layer.{0,1}.output.dense.weight
    1x1x9x16: vit.encoder.mid_position_embeddings
    """
