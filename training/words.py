"""A vocabulary of whole words, by frequency, and the settings that make it a `TransfoXLTokenizer`'s.

Imported by the training scripts only.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tokenizer import write_json

END, UNKNOWN = "<eos>", "<unk>"


def split_words(text: str) -> list[str]:
    """Split the corpus as Moses does, a hundred times faster: words and marks.

    It holds for this corpus only (no numbers with commas, no apostrophes); the report compares the two.
    """
    return re.findall(r"\w+|[^\w\s]", text)


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of all texts."""
    return Counter(word for text in texts for word in split_words(text))


def frequent_words(counts: Counter[str], vocab_size: int) -> tuple[str, ...]:
    """Return the most frequent words, likeliest first, after the end of a text and the unknown word.

    Raises:
        ValueError: there are not enough different words, and then none would be unknown.
    """
    room = vocab_size - 2
    if len(counts) <= room:
        raise ValueError(f"the texts have {len(counts)} different words, too few for a vocabulary of {vocab_size}")
    # Ties in alphabetical order: the vocabulary must not depend on the order of the texts.
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return (END, UNKNOWN, *(word for word, _ in ordered[:room]))


def encode(text: str, ids: Mapping[str, int]) -> list[int]:
    """Return the ids of the words of a text."""
    unknown = ids[UNKNOWN]
    return [ids.get(word, unknown) for word in split_words(text)]


def write_words(words: Iterable[str], mem_len: int, folder: Path) -> None:
    """Write vocab.txt, tokenizer_config.json and special_tokens_map.json."""
    text = "".join(f"{word}\n" for word in words)
    (folder / "vocab.txt").write_text(text, encoding="utf-8", newline="\n")
    special = {"eos_token": END, "unk_token": UNKNOWN}
    settings = {
        # The default is one more special token, which would get an id that the model lacks.
        "additional_special_tokens": [],
        "clean_up_tokenization_spaces": True,
        **special,
        "language": "en",
        "lower_case": False,
        "model_max_length": mem_len,
        "tokenizer_class": "TransfoXLTokenizer",
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", settings)
