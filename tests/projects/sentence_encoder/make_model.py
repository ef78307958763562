"""A BERT of two blocks that sentence-transformers would load: mean pooling, and vectors of length 1."""

import json
from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

FOLDER = Path(__file__).parent / "model"
MODULES = (("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize"))


def write_modules(folder: Path, *, mode: str = "mean_tokens", longest: int = 16) -> None:
    """Write the files of sentence-transformers beside a model."""
    modules = [
        {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for name, path, kind in MODULES
    ]
    pooling = {"word_embedding_dimension": 16, f"pooling_mode_{mode}": True}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    files = {
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write(folder: Path) -> None:
    """Write the checkpoint."""
    save(
        folder,
        "BertModel",
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        pad_token_id=0,
    )
    save_tokenizer(folder)
    write_modules(folder)


if __name__ == "__main__":
    write(FOLDER)
