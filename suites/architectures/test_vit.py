"""ViT, as a classifier: patches of an image as words (arXiv:2010.11929)."""

from suites.architectures.checks import VISION, Other


class TestVit(Other):
    model_class = "ViTForImageClassification"
    model_type = "vit"
    fields = {**VISION, "num_labels": 3}
    switch = {"num_attention_heads": 4}
    weights = """
    3: classifier.bias
    3x16: classifier.weight
    1x1x16: vit.embeddings.cls_token
    16: vit.embeddings.patch_embeddings.projection.bias
    16: vit.encoder.layer.{0,1}.attention.attention.{key,query,value}.bias
    16: vit.encoder.layer.{0,1}.attention.output.dense.bias
    16: vit.encoder.layer.{0,1}.{layernorm_after,layernorm_before}.{bias,weight}
    16: vit.encoder.layer.{0,1}.output.dense.bias vit.layernorm.{bias,weight}
    16x3x8x8: vit.embeddings.patch_embeddings.projection.weight
    1x5x16: vit.embeddings.position_embeddings
    16x16: vit.encoder.layer.{0,1}.attention.attention.{key,query,value}.weight
    16x16: vit.encoder.layer.{0,1}.attention.output.dense.weight
    24: vit.encoder.layer.{0,1}.intermediate.dense.bias
    24x16: vit.encoder.layer.{0,1}.intermediate.dense.weight
    16x24: vit.encoder.layer.{0,1}.output.dense.weight
    """
