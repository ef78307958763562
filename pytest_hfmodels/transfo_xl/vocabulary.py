"""The words of a Transformer-XL, read from text, JSON or a published `vocab.pkl`, written as text or JSON.

For `tokenizer`, and for what converts a checkpoint; imports nothing heavy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.errors import CheckpointError
from pytest_hfmodels.transfo_xl.restricted_pickle import read_plain_pickle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TEXT_FILE, JSON_FILE, PICKLED_FILE = "vocab.txt", "vocab.json", "vocab.pkl"
_MARK = "\ufeff"  # some editors begin a text with it; it belongs to no word
_UNKNOWN = ("<UNK>", "<unk>")  # in the order in which upstream looks for them in a text


@dataclass(frozen=True)
class Vocabulary:
    """Words by frequency, as the cutoffs of a checkpoint want them.

    Args:
        words: each once; a word's place is its id.
        unknown: the id of all other words.
    """

    words: tuple[str, ...]
    unknown: int

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """Every word's id."""
        return {word: index for index, word in enumerate(self.words)}

    def require(self, word: str, *, source: object) -> None:
        """Check that a text can end.

        Args:
            word: the end of a text, "<eos>" as a rule.
            source: the file, for the message.

        Raises:
            CheckpointError: the vocabulary has no such word.
        """
        if word not in self.ids:
            raise CheckpointError(
                f"The vocabulary {source} of {len(self.words)} words lacks {word}, which ends a text.",
                hint=f"Add it where the model was trained with it, or name another word as eos_token ({word!r} now).",
            )


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the vocabulary file at `path`, of which the suffix says the format.

    `.json` is a list of words or an object {word: id}; `.pkl` is a published pickle, read without running anything in
    it; anything else is text, the first word of each line.

    Raises:
        CheckpointError: it cannot be read, has a word twice where ids depend on it, or one that is no text, or lacks
            <unk>.
    """
    try:
        if path.suffix == ".pkl":
            vocabulary = _from_pickle(read_plain_pickle(path), path)
        elif path.suffix == ".json":
            vocabulary = _with_unknown(_from_json(_load_json(path), path), path)
        else:
            vocabulary = _with_unknown(_from_text(path), path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"The vocabulary {path} cannot be read: {error}.", hint=_FORMATS) from error
    _require_text(vocabulary.words, path)
    return vocabulary


def write_vocabulary(vocabulary: Vocabulary, folder: Path, *, prefix: str = "") -> Path:
    """Write the words into `folder`, as text, or as JSON where text would lose a word with a space; return the file.

    Raises:
        CheckpointError: the unknown word is one that neither form tells, as only a pickle can have it, or a word is
            no text.
    """
    _require_text(vocabulary.words, folder)
    unknown = vocabulary.words[vocabulary.unknown]
    told = next((name for name in _UNKNOWN if name in vocabulary.ids), None)
    if told != unknown:
        raise CheckpointError(
            f"The vocabulary's unknown word is {unknown!r}, and in text it would be {told!r}.",
            hint="Rename the words in the file that it was read from, so that only the unknown one is named <unk>.",
        )
    lossless = all(word.split() == [word] for word in vocabulary.words)
    lossless = lossless and not vocabulary.words[0].startswith(_MARK)
    path = folder / f"{prefix}{TEXT_FILE if lossless else JSON_FILE}"
    text = (
        "".join(f"{word}\n" for word in vocabulary.words)
        if lossless
        else json.dumps(vocabulary.words, ensure_ascii=False, indent=0)
    )
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _from_text(path: Path) -> list[str]:
    words: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not (found := line.split()):
                raise CheckpointError(f"The vocabulary {path} has no word in line {number}.", hint=_FORMATS)
            words.setdefault(found[0])  # a repeated word is skipped, as by upstream
    return list(words)


def _load_json(path: Path) -> Any:
    text = path.read_text(encoding="utf-8-sig")

    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _require_each_once([word for word, _ in pairs], path)
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=each_once)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise CheckpointError(f"The vocabulary {path} nests lists or objects too deep.", hint=_FORMATS) from error
    except ValueError as error:  # a number of thousands of digits
        raise CheckpointError(f"The vocabulary {path} has a number too long to be an id.", hint=_FORMATS) from error


def _from_json(data: Any, path: Path) -> list[str]:
    if isinstance(data, dict):
        return _in_order(data, path)
    if not isinstance(data, list) or not all(isinstance(word, str) for word in data):
        raise CheckpointError(f"The vocabulary {path} is neither a list of words nor {{word: id}}.", hint=_FORMATS)
    _require_each_once(data, path)
    return data


def _from_pickle(data: Any, path: Path) -> Vocabulary:
    if not isinstance(data, dict) or not isinstance(data.get("sym2idx"), dict):
        raise CheckpointError(f"The vocabulary {path} has no sym2idx, as a published vocab.pkl has.", hint=_FORMATS)
    words = _in_order(data["sym2idx"], path)
    if data.get("idx2sym", words) != words:
        raise CheckpointError(f"The vocabulary {path} contradicts itself: sym2idx and idx2sym differ.", hint=_FORMATS)
    unknown = data.get("unk_idx")
    if type(unknown) is int and 0 <= unknown < len(words):
        return Vocabulary(tuple(words), unknown)
    return _with_unknown(words, path, names=_UNKNOWN[::-1])  # upstream's order here


def _in_order(ids: Mapping[str, Any], path: Path) -> list[str]:
    words = {
        number: word
        for word, number in ids.items()
        if type(number) is int and 0 <= number < len(ids) and isinstance(word, str)
    }
    if len(words) != len(ids):
        raise CheckpointError(
            f"The vocabulary {path} does not number its {len(ids)} words from 0 to {len(ids) - 1}, each once.",
            hint=_FORMATS,
        )
    return [words[number] for number in range(len(words))]


def _require_each_once(words: list[str], path: Path) -> None:
    """Refuse a repeated word: skipping it would move the ids of all later ones."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise CheckpointError(
                f"The vocabulary {path} has the word {_shown(word)} twice, and a word has one id.",
                hint="Take out the one that the model was not trained with.",
            )
        seen.add(word)


def _require_text(words: tuple[str, ...], path: Path) -> None:
    """Refuse half a surrogate pair, which no file of text can hold."""
    for number, word in enumerate(words):
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise CheckpointError(
                f"The vocabulary {path} has a word that is no text, {_shown(word)} with id {number}: half a character "
                "of two parts.",
                hint="Mend the word where the vocabulary was made. Only whole characters can be written as UTF-8.",
            ) from error


def _shown(word: str) -> str:
    return ascii(word) if len(word) <= _SHOWN else ascii(word[:_SHOWN]) + "..."


def _with_unknown(words: list[str], path: Path, names: tuple[str, ...] = _UNKNOWN) -> Vocabulary:
    for name in names:
        if name in words:
            return Vocabulary(tuple(words), words.index(name))
    raise CheckpointError(
        f"The vocabulary {path} of {len(words)} words lacks <unk>, which stands for every other word.",
        hint="Add <unk> where the model was trained with it.",
    )


_SHOWN = 60  # characters of a word in a message
_FORMATS = f"Save it as {TEXT_FILE}, one word a line, or as {JSON_FILE}, a list of words."
