"""A Llama of two blocks whose configuration asks for weights of eight bits (optimum-quanto)."""

import json
from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

FOLDER = Path(__file__).parent / "model"

if __name__ == "__main__":
    save(
        FOLDER,
        "LlamaForCausalLM",
        scale=0.3,
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
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
    file = FOLDER / "config.json"
    config = {**json.loads(file.read_text()), "quantization_config": {"quant_method": "quanto", "weights": "int8"}}
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(FOLDER)
