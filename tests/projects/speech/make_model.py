"""A wav2vec2 of two blocks with a head for letters, and its joint processor."""

import json
from pathlib import Path

from tests.projects.drawn import save

FOLDER = Path(__file__).parent / "model"
WORDS = {word: index for index, word in enumerate(("<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKL"))}
PROCESSOR = {
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "Wav2Vec2Processor",
    "return_attention_mask": False,
    "sampling_rate": 16000,
}

if __name__ == "__main__":
    save(
        FOLDER,
        "Wav2Vec2ForCTC",
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        conv_dim=(8, 8),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    files = {
        "preprocessor_config.json": PROCESSOR,
        "vocab.json": WORDS,
        "tokenizer_config.json": {"tokenizer_class": "Wav2Vec2CTCTokenizer", "pad_token": "<pad>"},
    }
    for name, content in files.items():
        (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
