"""A ViT of two blocks that classifies small images."""

import json
from pathlib import Path

from tests.projects.drawn import save

FOLDER = Path(__file__).parent / "model"
LABELS = dict(enumerate(("cat", "dog", "house")))
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5, 0.5, 0.25],
    "size": {"height": 16, "width": 16},
}

if __name__ == "__main__":
    save(
        FOLDER,
        "ViTForImageClassification",
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        id2label=LABELS,
        label2id={label: index for index, label in LABELS.items()},
    )
    (FOLDER / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=1) + "\n", encoding="utf-8")
