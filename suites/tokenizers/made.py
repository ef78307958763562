"""Small tokenizers by rule, and the patterns that cut texts into pieces, one regular expression a branch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Each branch of the pattern, in its order. The pattern of a family is all of them, joined by "|".
BRANCHES = {
    "gpt2": ("'s|'t|'re|'ve|'m|'ll|'d", r" ?\p{L}+", r" ?\p{N}+", r" ?[^\s\p{L}\p{N}]+", r"\s+(?!\S)", r"\s+"),
    "qwen2": (
        *("(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"\p{N}", r" ?[^\s\p{L}\p{N}]+[\r\n]*"),
        *(r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"),
    ),
    "llama3": (
        *("(?i:'s|'t|'re|'ve|'m|'ll|'d)", r"[^\r\n\p{L}\p{N}]?\p{L}+", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*"),
        *(r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"),
    ),
}
# A text with a piece for each branch, and the characters that decide between them.
SAMPLE = "It's we'LL (a) naïve 中文 2024 x²٣ !?\r\n\n …end\t\t  tab \n\u3000wide 😀\n don't\u00a0stop  "
CHARACTERS = "aZé中\u0301'slL129²٣Ⅷ!?(-…😀 \t\n\r\u00a0\u3000"
# Merges that would join characters of two pieces, if a pattern cut texts elsewhere.
_JOINED = ("a Z", "1 2", "12 9", "' s", "Ġ a", "Ġ 1", "Ġ !", "! ?", "! Ċ", "Ċ Ċ", "Ġ Ġ", "Ġ Ċ", "ĉ ĉ", "a 1", "1 a")

_SPECIAL: dict[str, dict[str, Any]] = {
    "unigram": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    "albert": {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]},
}


def letters() -> list[str]:
    """Return the character that stands for each byte, as GPT-2 chose them."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(others)) for byte in range(256)]


def write_bytes(folder: Path) -> Path:
    """Write the vocabulary and merges of a byte-level BPE."""
    words = [*letters(), *(merge.replace(" ", "") for merge in _JOINED), "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *_JOINED, ""]), encoding="utf-8")
    return folder


def write_split(folder: Path, pattern: str) -> Path:
    """Write the same vocabulary as a file of the `tokenizers` library, cut by a pattern, as Llama 3 has it."""
    words = json.loads((write_bytes(folder) / "vocab.json").read_text(encoding="utf-8"))
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    model = {"type": "BPE", "vocab": words, "merges": list(_JOINED), "ignore_merges": False}
    whole = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "decoder": level,
        "model": model,
    }
    return _written(folder, whole)


def write_words(folder: Path) -> Path:
    """Write the vocabulary of a BERT: letters, alone and inside a word, and some whole words."""
    alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*alphabet, *(f"##{letter}" for letter in alphabet), *"!?'.,(-)…中文²", "##ab", "ab", "naive"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *pieces, ""]), encoding="utf-8")
    return folder


def write_pieces(folder: Path, kind: str, name: str) -> Path:
    """Write a SentencePiece model of a few sentences: `unigram` as T5 has it, `albert` likewise, or `bpe`."""
    import sentencepiece

    from tests.projects.drawn import WORDS

    words = [*WORDS, "weather", "paris", "once", "upon", "time"]
    lines = [" ".join(words[(place * step) % len(words)] for place in range(9)) for step in range(1, 40)]
    with (folder / name).open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=file,
            model_type="bpe" if kind == "bpe" else "unigram",
            vocab_size=330 if kind == "bpe" else 60,
            byte_fallback=kind == "bpe",
            hard_vocab_limit=False,
            normalization_rule_name="identity" if kind == "bpe" else "nmt_nfkc",  # as published ones have it
            remove_extra_whitespaces=kind != "bpe",
            minloglevel=2,
            **_SPECIAL.get(kind, {}),
        )
    return folder


def _written(folder: Path, whole: dict[str, Any]) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
