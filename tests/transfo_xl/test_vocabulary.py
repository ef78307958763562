from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.checkpoints.pickled_words import write_words
from pytest_hfmodels.foundation.errors import CheckpointError
from pytest_hfmodels.transfo_xl import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ("<eos>", "the", "<unk>", "dog")
IDS = {word: index for index, word in enumerate(WORDS)}
FILES: dict[str, bytes] = {
    "vocab.txt": b"<eos> 12\nthe\nthe\n<unk>\ndog\n",
    "with-mark.txt": "\ufeff<eos>\nthe\n<unk>\ndog\n".encode(),
    "list.json": json.dumps(WORDS).encode(),
    "ids.json": json.dumps(IDS).encode("utf-8-sig"),
    "vocab.pkl": pickle.dumps({"sym2idx": IDS}),
}


@pytest.mark.parametrize("name", FILES)
def test_the_words_of_each_format(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FILES[name])

    found = read_vocabulary(tmp_path / name)

    assert (found, found.unknown) == (Vocabulary(WORDS), 2)


@pytest.mark.parametrize("missing", ["<unk>", "<eos>"])
@pytest.mark.parametrize("name", FILES)
def test_a_vocabulary_without_a_word_that_every_text_needs_is_refused(missing: str, name: str, tmp_path: Path) -> None:
    # As long as the missing word: a pickle holds its length.
    (tmp_path / name).write_bytes(FILES[name].replace(missing.encode(), b"other"))

    with pytest.raises(CheckpointError, match=f"of 4 words lacks {missing}"):
        read_vocabulary(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vocab.txt", "<unk>\n\nthe\n", "no word in line 2"),
        ("vocab.json", "{", "cannot be read"),
        ("vocab.json", "3", "neither a list of words"),
        ("vocab.json", '{"<unk>": 0, "the": 2}', "does not give its 2 words the ids 0 to 1"),
        ("vocab.json", '{"<unk>": 0, "the": "1"}', "does not give its"),
        ("vocab.json", '{"<unk>": 0, "the": 0}', "does not give its"),
        ("vocab.json", "[" * 200_000 + "]" * 200_000, "cannot be read"),
        ("vocab.json", '{"<unk>": ' + "1" * 5_000 + "}", "cannot be read"),
        ("vocab.json", '["<unk>", "the", "dog", "the", "cat"]', "has the word 'the' twice"),
        ("vocab.json", '{"<unk>": 0, "the": 2, "the": 1}', "has the word 'the' twice"),
        ("vocab.json", r'["<unk>", "\ud800"]', "surrogates not allowed"),
        ("vocab.pkl", "words", "was refused, and nothing in it was run"),
    ],
)
def test_damaged_files_are_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(CheckpointError, match=message):
        read_vocabulary(tmp_path / name)


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.pkl"])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_vocabulary(tmp_path / name)


@given(words=st.lists(st.text(min_size=1), unique=True))
def test_written_words_are_read_again(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    all_words = tuple(dict.fromkeys(("<UNK>", "<eos>", *words)))

    assert read_vocabulary(write_words(all_words, tmp_path_factory.getbasetemp())).words == all_words
