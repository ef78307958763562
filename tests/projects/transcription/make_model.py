"""A Whisper of one block a side, whose window is one second, with two languages."""

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file

from tests.projects.drawn import SPECIAL, WORDS, save

FOLDER = Path(__file__).parent / "model"
OWN = ("<|startoftranscript|>", "<|endoftext|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>")
VOCABULARY = (*SPECIAL, *WORDS, *OWN, *(f"<|{step * 0.02:.2f}|>" for step in range(51)))  # as upstream orders them
ID = {word: index for index, word in enumerate(VOCABULARY)}
TOKENS = {
    "pad_token_id": 0,
    "bos_token_id": ID["<|startoftranscript|>"],
    "eos_token_id": ID["<|endoftext|>"],
    "decoder_start_token_id": ID["<|startoftranscript|>"],
}
FILES = {
    "generation_config.json": {
        **TOKENS,
        "is_multilingual": True,
        "lang_to_id": {word: ID[word] for word in ("<|en|>", "<|de|>")},
        "max_length": 40,
        "no_timestamps_token_id": ID["<|notimestamps|>"],
        "return_timestamps": False,
        "task_to_id": {"transcribe": ID["<|transcribe|>"]},
    },
    "preprocessor_config.json": {
        "chunk_length": 1,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": 8,
        "hop_length": 160,
        "n_fft": 400,
        "processor_class": "WhisperProcessor",
        "sampling_rate": 16000,
    },
    "tokenizer_config.json": {
        "bos_token": "<|startoftranscript|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<pad>",
        "tokenizer_class": "WhisperTokenizer",
        "unk_token": "<unk>",
    },
    "vocab.json": ID,
}

if __name__ == "__main__":
    save(
        FOLDER,
        "WhisperForConditionalGeneration",
        scale=0.6,
        vocab_size=len(VOCABULARY),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_mel_bins=8,
        max_source_positions=50,
        max_target_positions=40,
        begin_suppress_tokens=None,
        suppress_tokens=None,
        **TOKENS,
    )
    tensors = load_file(FOLDER / "model.safetensors")
    for name, values in tensors.items():
        if name.endswith("embed_tokens.weight"):  # they make the logits, too: only timestamps that are asked for come
            values[ID["<|0.00|>"] :] *= 0.05
    save_file(tensors, FOLDER / "model.safetensors", metadata={"format": "pt"})
    for name, content in FILES.items():
        (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
