"""Files that make a processor of LLaVA's and of Whisper's drawn checkpoints. For `checkpoint.write_checkpoint`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.projects.drawn import SPECIAL, WORDS

IMAGE = "<image>"
SECONDS = 30  # of a window, as in every published Whisper
_STAMPS = tuple(f"<|{step * 0.02:.2f}|>" for step in range(50 * SECONDS + 1))
_OWN = ("<|startoftranscript|>", "<|endoftext|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>")
WHISPER_VOCABULARY = {word: index for index, word in enumerate((*SPECIAL, *WORDS, *_OWN, *_STAMPS))}
START, END, ENGLISH, GERMAN, TRANSCRIBE, UNTIMED = (WHISPER_VOCABULARY[word] for word in _OWN)
WHISPER_TOKENS = {"pad_token_id": 0, "bos_token_id": START, "eos_token_id": END, "decoder_start_token_id": START}
WHISPER_FILES: dict[str, Any] = {
    "generation_config.json": {
        **WHISPER_TOKENS,
        "is_multilingual": True,
        "lang_to_id": {"<|en|>": ENGLISH, "<|de|>": GERMAN},
        "max_initial_timestamp_index": 50,
        "max_length": 40,
        "no_timestamps_token_id": UNTIMED,
        "return_timestamps": False,
        "task_to_id": {"transcribe": TRANSCRIBE},
    },
    "preprocessor_config.json": {
        "chunk_length": SECONDS,
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
    "vocab.json": WHISPER_VOCABULARY,
    "merges.txt": "#version: 0.2\n",
}
LLAVA_FILES: dict[str, Any] = {
    "preprocessor_config.json": {
        "crop_size": {"height": 16, "width": 16},
        "image_mean": [0.5, 0.4, 0.3],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.5, 0.5, 0.25],
        "processor_class": "LlavaProcessor",
        "size": {"shortest_edge": 16},
    },
    "processor_config.json": {
        "image_token": IMAGE,
        "num_additional_image_tokens": 1,
        "patch_size": 8,
        "processor_class": "LlavaProcessor",
        "vision_feature_select_strategy": "default",
    },
}


def with_times(seconds: int, rate: int = 16000) -> dict[str, Any]:
    """Return what `generate` is given for a sound, to write down words and times.

    Each second has another pitch and loudness. The numbers are exact, the same on every machine.
    """
    moments = np.arange(seconds * rate)
    second = moments // rate
    wave = (moments * (3 + 2 * second) % 512) / 512 - 0.5
    sound = np.asarray(wave * (1 + 5 * second % 16) / 16, np.float32)
    return {"audio": sound, "sampling_rate": rate, "language": "en", "return_timestamps": True, "max_new_tokens": 8}
