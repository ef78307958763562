"""A Llama of two blocks with grouped-query attention."""

from pathlib import Path

from tests.projects.drawn import save_llama, save_tokenizer

FOLDER = Path(__file__).parent / "model"

if __name__ == "__main__":
    save_llama(FOLDER)
    save_tokenizer(FOLDER)
