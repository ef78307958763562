"""A T5 of two blocks on each side."""

from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

FOLDER = Path(__file__).parent / "model"

if __name__ == "__main__":
    save(
        FOLDER,
        "T5ForConditionalGeneration",
        scale=0.4,
        vocab_size=len(SPECIAL + WORDS),
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_heads=2,
        relative_attention_num_buckets=8,
        pad_token_id=0,
        decoder_start_token_id=0,
        eos_token_id=None,
    )
    save_tokenizer(FOLDER, model_input_names=["input_ids", "attention_mask"])
