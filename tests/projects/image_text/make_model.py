"""A CLIP of two small towers, and its joint processor."""

import json
from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

FOLDER = Path(__file__).parent / "model"
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
PROCESSOR = {
    "crop_size": {"height": 16, "width": 16},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_processor_type": "CLIPImageProcessor",
    "image_std": [0.5, 0.5, 0.25],
    "processor_class": "CLIPProcessor",
    "size": {"shortest_edge": 16},
}

if __name__ == "__main__":
    words = {"vocab_size": len(SPECIAL + WORDS), "max_position_embeddings": 16, "bos_token_id": 2, "eos_token_id": 3}
    save(
        FOLDER,
        "CLIPModel",
        text_config={**TOWER, **words, "pad_token_id": 0},
        vision_config={**TOWER, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    (FOLDER / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=1) + "\n", encoding="utf-8")
    save_tokenizer(FOLDER, model_input_names=["input_ids", "attention_mask"])
