from __future__ import annotations

import json
import pickle
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels import transfo_xl
from pytest_hfmodels.foundation.errors import CheckpointError, EngineUnavailable
from pytest_hfmodels.transfo_xl.tokenizer import join_numbers, split_numbers

from .tiny_transfo_xl import WORDS, vocabulary_file

if TYPE_CHECKING:
    from pathlib import Path


def tokenizer(folder: Path, words: list[str] = WORDS, **how: Any) -> Any:
    return transfo_xl.TransfoXLTokenizer(vocab_file=vocabulary_file(folder, words), **how)


# What upstream's of transformers 4.37.2 makes of them (`test_parity` compares the two on drawn text).
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("My name is Hasnain", ["My", "name", "is", "Hasnain"]),
        ("well-read", ["well", "@-@", "read"]),
        ("5,000 and 5.5", ["5", "@,@", "000", "and", "5", "@.@", "5"]),
        ("I don't, my dog's!", ["I", "don", "'t", ",", "my", "dog", "'s", "!"]),
        ("the<eos>name", ["the", "<eos>", "name"]),
        ("the <formula> name", ["the", "<formula>", "name"]),
        ("“the”", ['"', "the", '"']),
        ("", []),
        (" \n", []),
    ],
)
def test_words(text: str, words: list[str], tmp_path: Path) -> None:
    assert tokenizer(tmp_path).tokenize(text) == words


def test_an_encoding_holds_ids_only(tmp_path: Path) -> None:
    assert dict(tokenizer(tmp_path)("My name is Hasnain")) == {"input_ids": [9, 5, 6, 7]}


def test_an_unknown_word(tmp_path: Path) -> None:
    found = tokenizer(tmp_path)

    assert found("My cat")["input_ids"] == [9, 1]
    assert found.decode([9, 1]) == "My <unk>"


def test_round_trip(tmp_path: Path) -> None:
    found, text = tokenizer(tmp_path), "My name is Hasnain, I am well-read 5,000.5!"

    assert found.decode(found(text)["input_ids"]) == text


def test_lower_case_applies_to_words_and_marks(tmp_path: Path) -> None:
    found = tokenizer(tmp_path, lower_case=True)

    assert found.tokenize("My NAME<EOS>") == ["my", "name", "<eos>"]
    assert found.tokenize("ΑΣ") == ["ασ"]


def test_characters(tmp_path: Path) -> None:
    assert tokenizer(tmp_path, delimiter="").tokenize("I am") == ["I", " ", "a", "m"]


def test_batches_are_padded_with_ids_only(tmp_path: Path) -> None:
    found = tokenizer(tmp_path, pad_token="<unk>")

    assert dict(found(["My name", "I"], padding=True)) == {"input_ids": [[9, 5], [17, 1]]}


def test_two_texts_follow_each_other(tmp_path: Path) -> None:
    assert tokenizer(tmp_path)("My name", "I am")["input_ids"] == [9, 5, 17, 18]


def test_a_special_token_without_a_word_gets_an_id_after_the_vocabulary(tmp_path: Path) -> None:
    found = tokenizer(tmp_path, WORDS[:-1])

    assert found("<formula>")["input_ids"] == [len(WORDS) - 1]
    assert (found.vocab_size, len(found)) == (len(WORDS) - 1, len(WORDS))


@pytest.mark.parametrize("words", [WORDS, WORDS[:-1], [*WORDS, "New York"]])
def test_a_saved_tokenizer_loads_as_it_was(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    file = tmp_path / "vocab.json"
    file.write_text(json.dumps(words), encoding="utf-8")
    first = transfo_xl.TransfoXLTokenizer(vocab_json_file=str(file), lower_case=True)

    first.save_pretrained(tmp_path / "saved")
    second = transfo_xl.TransfoXLTokenizer.from_pretrained(tmp_path / "saved")

    text = "My name is <formula> Hasnain<eos> 5,000"
    assert second(text)["input_ids"] == first(text)["input_ids"]
    assert second.get_vocab() == first.get_vocab()
    assert not list((tmp_path / "saved").glob("*.pkl"))


@pytest.mark.parametrize("trust", ["", "True"])
def test_a_published_folder_loads_without_running_its_pickle(
    trust: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUST_REMOTE_CODE", trust)
    monkeypatch.setattr(pickle, "load", None)
    ids = OrderedDict((word, index) for index, word in enumerate(WORDS))
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps({"sym2idx": ids, "idx2sym": list(WORDS)}))
    (tmp_path / "config.json").write_text('{"model_type": "transfo-xl"}', encoding="utf-8")

    found = transfo_xl.TransfoXLTokenizer.from_pretrained(tmp_path)

    assert found("My name is Hasnain")["input_ids"] == [9, 5, 6, 7]


def test_a_vocabulary_without_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="lacks <eos>, which ends a text"):
        tokenizer(tmp_path, WORDS[1:])


def test_no_vocabulary_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"no vocabulary: expected vocab\.txt, vocab\.json or vocab\.pkl"):
        transfo_xl.TransfoXLTokenizer()


def test_an_id_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexError, match="99 is not the id of a word in this vocabulary of 24 words"):
        tokenizer(tmp_path).decode([99])


def test_without_sacremoses_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacremoses", None)

    with pytest.raises(EngineUnavailable, match=r"needs sacremoses.*\n.*pytest-hfmodels\[transfo-xl\]"):
        tokenizer(tmp_path)


def test_numbers() -> None:
    assert split_numbers(["$", "5,000", "1.73", "m,"]) == ["$", "5", "@,@", "000", "1", "@.@", "73", "m,"]
    assert join_numbers("$ 5 @,@ 000 1 @.@ 73 m") == "$ 5,000 1.73 m"
