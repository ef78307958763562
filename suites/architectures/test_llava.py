"""LLaVA: a CLIP's patches among the words of a Llama (arXiv:2304.08485)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from suites.architectures.checkpoint import numbers
from suites.architectures.checks import GENERATES, SMALL, VISION, Other

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import HFModel, HFSnapshot


class TestLlava(Other):
    model_class = "LlavaForConditionalGeneration"
    model_type = "llava"
    since = "4.36"
    tokenizer = True
    fields = {
        "text_config": {**SMALL, "model_type": "llama", "num_key_value_heads": 2, "tie_word_embeddings": False},
        "vision_config": {**VISION, "model_type": "clip_vision_model", "projection_dim": 8},
        "image_token_index": 35,
        "image_seq_length": 4,
    }
    switch = {"vision_feature_layer": -1}
    without = (*GENERATES, "test_switch", "test_outputs")  # its inputs are texts alone
    weights = """
    36x16: language_model.lm_head.weight language_model.model.embed_tokens.weight
    16: @layers.{0,1}.{input_layernorm,post_attention_layernorm}.weight @norm.weight
    16: multi_modal_projector.{linear_1,linear_2}.bias ^embeddings.class_embedding
    16: ^encoder.layers.{0,1}.{layer_norm1,layer_norm2}.{bias,weight} ^{post_layernorm,pre_layrnorm}.{bias,weight}
    16: ^encoder.layers.{0,1}.mlp.fc2.bias ^encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.bias
    16x24: @layers.{0,1}.mlp.down_proj.weight ^encoder.layers.{0,1}.mlp.fc2.weight
    24x16: @layers.{0,1}.mlp.{gate_proj,up_proj}.weight ^encoder.layers.{0,1}.mlp.fc1.weight
    8x16: @layers.{0,1}.self_attn.{k_proj,v_proj}.weight
    16x16: @layers.{0,1}.self_attn.{o_proj,q_proj}.weight multi_modal_projector.{linear_1,linear_2}.weight
    16x16: ^encoder.layers.{0,1}.self_attn.{k_proj,out_proj,q_proj,v_proj}.weight
    16x3x8x8: ^embeddings.patch_embedding.weight
    5x16: ^embeddings.position_embedding.weight
    24: ^encoder.layers.{0,1}.mlp.fc1.bias
    """.replace("@", "language_model.model.").replace("^", "vision_tower.vision_model.")

    def test_image(self, hf_model: HFModel, load_again: Callable[..., HFModel], hf_snapshot: HFSnapshot) -> None:
        """An image in a text gives the recorded logits; another layer of the vision model gives others."""
        patches = 4 if hasattr(type(hf_model.config)(), "image_seq_length") else 1  # before 4.45, a token an image
        ids = [[4, 18, *[35] * patches, 9, 30]]
        image = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "pixel_values": numbers("image", (1, 3, 16, 16)),
        }
        logits = [model.loaded.observe(image).outputs["logits"] for model in (hf_model, load_again(**self.switch))]
        assert abs(logits[0] - logits[1]).max() > 1e-3
        assert logits[0][:, -1] == hf_snapshot
