"""A LoRA in `model/` over a Llama of two blocks in `base/`."""

import json
from pathlib import Path

from safetensors.numpy import save_file

from tests.projects.drawn import SPECIAL, WORDS, numbers, save, save_tokenizer

HERE = Path(__file__).parent
WIDTH = 16
CONFIG = {
    "base_model_name_or_path": "base",
    "bias": "none",
    "lora_alpha": 4,
    "peft_type": "LORA",
    "r": 2,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": "CAUSAL_LM",
}

if __name__ == "__main__":
    save(
        HERE / "base",
        "LlamaForCausalLM",
        scale=0.3,
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    save_tokenizer(HERE / "base")
    (HERE / "model").mkdir(exist_ok=True)
    (HERE / "model" / "adapter_config.json").write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")
    shapes = {
        f"base_model.model.model.layers.{block}.self_attn.{part}_proj.lora_{side}.weight": shape
        for block in range(2)
        for part, outer in (("q", WIDTH), ("v", WIDTH // 2))
        for side, shape in (("A", (2, WIDTH)), ("B", (outer, 2)))
    }
    weights = {name: numbers(name, shape, 0.4) for name, shape in shapes.items()}
    save_file(weights, HERE / "model" / "adapter_model.safetensors", metadata={"format": "pt"})
