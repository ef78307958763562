"""A BERT of two blocks that says how two texts relate."""

from pathlib import Path

from tests.projects.drawn import SPECIAL, WORDS, save, save_tokenizer

FOLDER = Path(__file__).parent / "model"
LABELS = dict(enumerate(("entailment", "neutral", "contradiction")))

if __name__ == "__main__":
    save(
        FOLDER,
        "BertForSequenceClassification",
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        pad_token_id=0,
        id2label=LABELS,
        label2id={label: index for index, label in LABELS.items()},
    )
    save_tokenizer(FOLDER, pairs=True)
