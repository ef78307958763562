"""Reads the `vocab.pkl` of a published Transformer-XL without running what it holds, and writes its words as text.

For `conversion` and for the tokenizer in `transfo_xl`.
"""

from __future__ import annotations

import io
import json
import pickle
import pickletools
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation import files
from pytest_hfmodels.foundation.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXT_FILE, JSON_FILE = "vocab.txt", "vocab.json"
UNKNOWN = ("<UNK>", "<unk>")  # the unknown word's names, in the order in which upstream looks for them in a text

_LARGEST = 32 << 20  # bytes; the published one has 9 MB
_MOST_CALLS = 50  # tuples, and calls that make a mapping; the published one has a handful
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_CALLS = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE"}
_WORDS_AND_NAMES = {
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("GLOBAL", "STACK_GLOBAL"),
}
_PLAIN = {
    *(*_GETS, *_CALLS, *_WORDS_AND_NAMES, "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "LIST", "DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
}
_FORMATS = f"Save the vocabulary as {TEXT_FILE}, one word per line, or as {JSON_FILE}, a list of words."


def read_pickled_words(path: Path) -> list[str]:
    """Return the words of a `vocab.pkl` in the order of their ids; nothing in the file is run.

    Environment variables such as TRUST_REMOTE_CODE change nothing.

    Raises:
        CheckpointError: the file holds anything but plain data, or the plain data is no vocabulary.
        OSError: it cannot be read.
    """
    content = files.read_bytes(path, largest=_LARGEST)
    try:
        _require_plain(content)
        data = _Unpickler(io.BytesIO(content)).load()
    # A damaged or hostile file can be wrong in as many ways as it has bytes. A Warning, because a strange escape in a
    # string is one, and a test run may raise it.
    except Exception as error:
        raise CheckpointError(
            f"{path} was refused, and nothing in it was run: {ascii(str(error))[1:-1]:.200}.", hint=_FORMATS
        ) from error
    ids = data.get("sym2idx") if type(data) is dict else None
    if not isinstance(ids, dict):
        raise CheckpointError(f"The vocabulary {path} has no sym2idx, as a published vocab.pkl has.", hint=_FORMATS)
    words = in_order(ids, path)
    if data.get("idx2sym", words) != words:
        raise CheckpointError(f"The vocabulary {path} contradicts itself: sym2idx and idx2sym differ.", hint=_FORMATS)
    named: list[int | None] = [words.index(name) for name in UNKNOWN if name in words] or [None]
    # Where the file names none, upstream looks for the two names in the other order.
    unknown, in_text = data.get("unk_idx", named[-1]), named[0]
    if unknown != in_text:
        raise CheckpointError(
            f"The unknown word of {path} has the id {unknown!a:.20}, and in text it would have {in_text}.",
            hint="Rename the words in the file, so that only the unknown one is named <unk>.",
        )
    return words


def write_words(words: Sequence[str], folder: Path, *, prefix: str = "") -> Path:
    """Write words as text, or as JSON where text would lose a word with a space; return the file."""
    # Some editors begin a text with a mark that belongs to no word.
    lossless = all(word.split() == [word] for word in words) and not words[0].startswith("\ufeff")
    path = folder / f"{prefix}{TEXT_FILE if lossless else JSON_FILE}"
    text = "".join(f"{word}\n" for word in words) if lossless else json.dumps(list(words), ensure_ascii=False, indent=0)
    try:
        path.write_bytes(text.encode())
    except UnicodeEncodeError as error:
        raise CheckpointError(f"The vocabulary has a word that is not text: {error}.", hint=_FORMATS) from error
    return path


def in_order(ids: dict[str, Any], path: Path) -> list[str]:
    """Return the words of a file in the order of their ids, which must run from 0 without gaps."""
    words = {
        number: word
        for word, number in ids.items()
        if type(number) is int and 0 <= number < len(ids) and isinstance(word, str)
    }
    if len(words) != len(ids):
        raise CheckpointError(
            f"The vocabulary {path} does not give its {len(ids)} words the ids 0 to {len(ids) - 1}, each once.",
            hint=_FORMATS,
        )
    return [words[number] for number in range(len(words))]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in {("collections", "Counter"), ("collections", "OrderedDict")}:
            raise ValueError(f"it names {module}.{name}")
        # A given dict is returned itself: copies of one that is given again and again would fill the memory.
        return lambda items=(): items if type(items) is dict else dict(items)


def _require_plain(content: bytes) -> None:
    """Refuse opcodes that plain data does not need, before the unpickler follows any of them.

    Only words and names may occur twice. So no container holds itself, none is walked, hashed or compared more than
    once, and the few tuples cannot nest deep enough to exhaust the C stack when they are hashed.
    """
    repeatable: dict[int, bool] = {}
    calls, previous = 0, ""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in _PUTS:
            index = len(repeatable) if opcode.name == "MEMOIZE" else int(argument or 0)
            if not 0 <= index <= len(content):  # the unpickler allocates room for as many
                raise ValueError("it is damaged")
            repeatable[index] = previous in _WORDS_AND_NAMES
            continue
        if opcode.name not in _PLAIN:
            raise ValueError(f"it asks for {opcode.name}, which plain data does not need")
        if opcode.name in _GETS and not repeatable.get(argument or 0):
            raise ValueError("it holds one list, tuple or dict twice")
        if isinstance(argument, int) and argument.bit_length() > 64:  # many such numbers can share one hash
            raise ValueError("it holds a number of more than 64 bits")
        calls, previous = calls + (opcode.name in _CALLS), opcode.name
        if calls > _MOST_CALLS:
            raise ValueError(f"it holds more than {_MOST_CALLS} tuples and mappings")
