"""A byte-level BPE tokenizer trained on the corpus, stored in GPT-2's own files.

Imported by the training scripts only.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import ByteLevelBPETokenizer

END_OF_TEXT = "<|endoftext|>"


def train_tokenizer(texts: Iterable[str], vocab_size: int, positions: int, folder: Path) -> None:
    """Train a tokenizer and write vocab.json, merges.txt and the settings.

    Args:
        texts: what to learn the merges from.
        vocab_size: number of ids in all, the end-of-text token included.
        positions: how many tokens the model takes at most.
        folder: where the files go; it must exist.
    """
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocab_size - 1, show_progress=False)
    bpe.save_model(str(folder))
    append_end_of_text(folder / "vocab.json", vocab_size)
    write_settings(folder, positions)


def append_end_of_text(path: Path, vocab_size: int) -> None:
    """Give the end-of-text token the last id, as in GPT-2's vocabulary.

    The trainer would give a special token the first id, so it is added afterwards.

    Raises:
        ValueError: the texts did not yield enough merges.
    """
    vocab: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    if len(vocab) != vocab_size - 1:
        raise ValueError(
            f"the texts yield {len(vocab) + 1} tokens, not {vocab_size}: "
            "train on more texts or ask for a smaller vocabulary"
        )
    ordered = sorted(vocab.items(), key=lambda entry: entry[1])
    write_json(path, dict([*ordered, (END_OF_TEXT, vocab_size - 1)]), indent=None)


def write_settings(folder: Path, positions: int) -> None:
    """Write tokenizer_config.json and special_tokens_map.json."""
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    settings = {
        "add_bos_token": False,
        "add_prefix_space": False,
        **special,
        "model_max_length": positions,
        "tokenizer_class": "GPT2Tokenizer",
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", settings)


def write_json(path: Path, value: object, indent: int | None = 2) -> None:
    """Write a value as JSON text, the same bytes on every system."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
