"""A Llama of two blocks whose configuration asks for weights of eight bits (optimum-quanto)."""

import json
from pathlib import Path

from tests.projects.drawn import save_llama, save_tokenizer

FOLDER = Path(__file__).parent / "model"

if __name__ == "__main__":
    save_llama(FOLDER)
    file = FOLDER / "config.json"
    config = {**json.loads(file.read_text()), "quantization_config": {"quant_method": "quanto", "weights": "int8"}}
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_tokenizer(FOLDER)
