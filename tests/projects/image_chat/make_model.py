"""A LLaVA: a CLIP tower and a Llama of two blocks each, its processor and a chat template."""

import json
from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

FOLDER = Path(__file__).parent / "model"
IMAGE = len(SPECIAL + WORDS)  # the id of <image>
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = {"vocab_size": IMAGE + 1, "num_key_value_heads": 2, "max_position_embeddings": 64}
TEMPLATE = """
{%- for message in messages %}
    {{- message['role'] ~ ' : ' }}
    {%- for part in message['content'] %}
        {{- '<image> ' if part['type'] == 'image' else part['text'] ~ ' ' }}
    {%- endfor %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- 'the house : ' }}
{%- endif %}
""".strip()
FILES = {
    "chat_template.json": {"chat_template": TEMPLATE},
    "preprocessor_config.json": {
        "crop_size": {"height": 16, "width": 16},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.5, 0.5, 0.25],
        "processor_class": "LlavaProcessor",
        "size": {"shortest_edge": 16},
    },
    "processor_config.json": {
        "image_token": "<image>",
        "num_additional_image_tokens": 1,
        "patch_size": 8,
        "processor_class": "LlavaProcessor",
        "vision_feature_select_strategy": "default",
    },
}

if __name__ == "__main__":
    save(
        FOLDER,
        "LlavaForConditionalGeneration",
        scale=0.3,
        text_config={
            **TOWER,
            **TEXT,
            "model_type": "llama",
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": None,
        },
        vision_config={**TOWER, "model_type": "clip_vision_model", "image_size": 16, "patch_size": 8},
        image_token_index=IMAGE,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    for name, content in FILES.items():
        (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    save_tokenizer(FOLDER, model_input_names=["input_ids", "attention_mask"], processor_class="LlavaProcessor")
    file = FOLDER / "tokenizer.json"
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer["added_tokens"].append({"id": IMAGE, "content": "<image>", **flags, "special": True})
    file.write_text(json.dumps(tokenizer, indent=2), encoding="utf-8")
