"""The words of a Transformer-XL, read from text, JSON or a published `vocab.pkl`.

For `tokenizer`; imports nothing heavy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints.pickled_words import JSON_FILE, TEXT_FILE, UNKNOWN, in_order, read_pickled_words
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHOWN = 60  # characters of a word in a message
_FORMATS = f"Save it as {TEXT_FILE}, one word per line, or as {JSON_FILE}, a list of words."


@dataclass(frozen=True)
class Vocabulary:
    """Words by frequency, as the cutoffs of a checkpoint want them.

    Args:
        words: each once; a word's place is its id. One of them is <UNK> or <unk>.
    """

    words: tuple[str, ...]

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Every word's id."""
        return {word: index for index, word in enumerate(self.words)}

    @cached_property
    def unknown(self) -> int:
        """The id of all other words."""
        return next(self.ids[name] for name in UNKNOWN if name in self.ids)


def read_vocabulary(path: Path, *, end: str = "<eos>") -> Vocabulary:
    """Read the vocabulary file at `path`, of which the suffix says the format.

    `.json` is a list of words or an object {word: id}; `.pkl` is a published pickle, read without running anything in
    it; anything else is text, the first word of each line.

    Args:
        path: the file.
        end: the word that ends a text.

    Raises:
        CheckpointError: it cannot be read, has a word twice where ids depend on it, or one that is not text, or lacks
            <unk> or `end`.
    """
    try:
        if path.suffix == ".pkl":
            words = read_pickled_words(path)
        else:
            words = _from_json(path) if path.suffix == ".json" else _from_text(path)
        "".join(words).encode()
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"The vocabulary {path} cannot be read: {error!s:.300}.", hint=_FORMATS) from error
    found = Vocabulary(tuple(words))
    for what, names in (("stands for every other word", UNKNOWN[::-1]), ("ends a text", (end,))):
        if found.ids.keys().isdisjoint(names):
            raise CheckpointError(
                f"The vocabulary {path} of {len(words)} words lacks {names[0]}, which {what}.",
                hint="Add it where the model was trained with it; a text may also end with another eos_token.",
            )
    return found


def _from_text(path: Path) -> list[str]:
    words: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not (found := line.split()):
                raise CheckpointError(f"The vocabulary {path} has no word in line {number}.", hint=_FORMATS)
            words.setdefault(found[0])  # a repeated word is skipped, as by upstream
    return list(words)


def _from_json(path: Path) -> list[str]:
    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _require_each_once([word for word, _ in pairs], path)
        return dict(pairs)

    data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=each_once)
    if isinstance(data, dict):
        return in_order(data, path)
    if not isinstance(data, list) or not all(isinstance(word, str) for word in data):
        raise CheckpointError(f"The vocabulary {path} is neither a list of words nor {{word: id}}.", hint=_FORMATS)
    _require_each_once(data, path)
    return data


def _require_each_once(words: list[str], path: Path) -> None:
    """Refuse a repeated word: skipping it would move the ids of all later ones."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise CheckpointError(
                f"The vocabulary {path} has the word {word[:_SHOWN]!a} twice, and a word has one id.",
                hint="Take out the one that the model was not trained with.",
            )
        seen.add(word)
