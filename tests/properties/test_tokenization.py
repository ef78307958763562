"""The checkers of tokenizers see what is wrong with one, and say it."""

from __future__ import annotations

import copy
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_hfmodels.properties import (
    check_batch,
    check_clean_up,
    check_decoded_bytes,
    check_offsets,
    check_round_trip,
    check_same,
    check_special_token,
    separated_texts,
    unicode_texts,
)
from pytest_hfmodels.reference.spaces import clean_up_spaces

from .shrinking import smallest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_hfmodels import ModelCache

END = "<|endoftext|>"
DRAWN = settings(deadline=None, derandomize=True, database=None)


class Faulty:
    """A tokenizer with something of its own in place of a method or an attribute."""

    def __init__(self, known: Any, **own: Any) -> None:
        self._known, self._own = known, own

    def __getattr__(self, name: str) -> Any:
        return self._own.get(name, getattr(self._known, name))

    def __call__(self, *texts: Any, **how: Any) -> Any:
        call: Callable[..., Any] = self._own.get("call", self._known)
        return call(*texts, **how)


@pytest.fixture(scope="module")
def tokenizer(models: ModelCache) -> Any:
    return models.load("./model").tokenizer


@pytest.fixture
def padded(tokenizer: Any) -> Any:
    known = copy.deepcopy(tokenizer)
    known.pad_token = END
    return known


@DRAWN
@given(text=unicode_texts(special=[END]))
def test_texts_can_be_written_as_bytes_and_have_known_characters_only(text: str) -> None:
    assert text.encode("utf-8").decode("utf-8") == text
    assert all(unicodedata.category(character) not in ("Cs", "Cn") for character in text)


@pytest.mark.parametrize("wanted", ["世界", "🤗", "\u0301", "\0", "  ", END, "n't", "5,000"])
def test_many_kinds_of_text_are_drawn_and_shrink_to_themselves(wanted: str) -> None:
    found = smallest(unicode_texts(special=[END]), lambda text: wanted in text, examples=2000)

    assert len(found) <= len(wanted) + 1


def test_separated_texts_have_a_space_around_each_mark() -> None:
    found = smallest(separated_texts(words=["tea"]), lambda text: "tea ." in text, examples=1000)

    assert found == "tea ."


@DRAWN
@given(before=unicode_texts(), after=unicode_texts(), ids=st.lists(st.integers(0, 256), max_size=8))
def test_a_byte_level_tokenizer_passes_every_check(tokenizer: Any, before: str, after: str, ids: list[int]) -> None:
    text = before + END + after

    assert check_round_trip(tokenizer, text) is None
    assert check_offsets(tokenizer, text) is None
    assert check_special_token(tokenizer, before, END, after) is None
    assert check_decoded_bytes(tokenizer, ids) is None
    assert check_same(tokenizer, tokenizer, text) is None


def test_a_stripped_text_is_found_and_shrinks(tokenizer: Any) -> None:
    strips = Faulty(tokenizer, decode=lambda ids, **how: tokenizer.decode(ids, **how).strip(" "))

    text = smallest(unicode_texts(), lambda text: check_round_trip(strips, text) is not None, examples=500)

    assert text == " "
    assert str(check_round_trip(strips, " a")) == "encoded and decoded it is: 'a' instead of ' a', for ' a'"


def test_broken_characters_that_are_left_out_are_found(tokenizer: Any) -> None:
    drops = Faulty(tokenizer, decode=lambda ids, **how: tokenizer.decode(ids, **how).replace("\ufffd", ""))

    violation = check_decoded_bytes(drops, [72, 0xF0, 0x9F])

    assert str(violation) == "decoded they are: 'H' instead of 'H\ufffd', for [72, 240, 159]"


def test_offsets_without_the_space_are_found(tokenizer: Any) -> None:
    def trims(text: str, **how: Any) -> Any:
        encoding = tokenizer(text, **how)
        encoding["offset_mapping"] = [
            (end, end) if text[start:end] == " " else (start, end) for start, end in encoding["offset_mapping"]
        ]
        return encoding

    violation = check_offsets(Faulty(tokenizer, call=trims), "a b")

    assert violation is not None
    assert violation.found == [(0, 1), (2, 2), (2, 3)]
    assert violation.expected == [(0, 1), (1, 2), (2, 3)]


def test_offsets_of_a_character_of_several_tokens_are_the_whole_character(tokenizer: Any) -> None:
    encoding = tokenizer("é!", return_offsets_mapping=True)

    assert [tuple(pair) for pair in encoding["offset_mapping"]] == [(0, 1), (0, 1), (1, 2)]
    assert check_offsets(tokenizer, "é!") is None


def test_a_special_token_that_is_split_is_found(tokenizer: Any) -> None:
    apart = Faulty(
        tokenizer,
        encode=lambda text, **how: [byte for piece in text for byte in tokenizer.encode(piece, **how)],
    )

    violation = check_special_token(apart, "a", END, "b")

    assert str(violation).startswith("the ids around a special token are: [97, 60, 124, ")
    assert str(violation).endswith("instead of [97, 256, 98], for 'a<|endoftext|>b'")


def test_a_special_token_that_is_not_skipped_is_found(tokenizer: Any) -> None:
    keeps = Faulty(tokenizer, decode=lambda ids, **how: tokenizer.decode(ids, **(how | {"skip_special_tokens": False})))

    violation = check_special_token(keeps, "a", END, "b")

    assert str(violation) == "without special tokens it is: 'a<|endoftext|>b' instead of 'ab', for 'a<|endoftext|>b'"
    assert check_special_token(keeps, "a", END, "b", skipped=False) is None


@pytest.mark.parametrize(
    ("apart", "together"),
    [
        ("Well , is it ?", "Well, is it?"),
        ("I 'm sure .", "I'm sure."),
        ("do n't", "don't"),
        ("a ' b", "a'b"),
        ("a  .", "a ."),
    ],
)
def test_cleaning_up_removes_the_space_before_marks_and_contractions(apart: str, together: str) -> None:
    assert clean_up_spaces(apart) == together


def test_spaces_that_are_not_cleaned_up_are_found(tokenizer: Any) -> None:
    ignores = Faulty(tokenizer, decode=lambda ids, **_: tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    text = smallest(separated_texts(), lambda text: check_clean_up(ignores, text) is not None)

    assert text == "a ."
    assert str(check_clean_up(ignores, text)) == "with spaces cleaned up, it is: 'a .' instead of 'a.', for 'a .'"


@pytest.mark.parametrize("padding_side", ["left", "right"])
@pytest.mark.parametrize("truncation_side", ["left", "right"])
@pytest.mark.parametrize("most", [None, 3])
def test_a_batch_equals_its_texts_one_by_one(
    padded: Any, padding_side: str, truncation_side: str, most: int | None
) -> None:
    padded.padding_side, padded.truncation_side = padding_side, truncation_side

    assert check_batch(padded, ["Hello", "a", "ab"], max_length=most) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [("padding_side", "[[97, 98, 99], [100, 256, 256]]"), ("truncation_side", "[[97, 98, 99], [100, 256, 256]]")],
)
def test_a_batch_on_the_wrong_side_is_found(padded: Any, name: str, found: str) -> None:
    elsewhere = Faulty(padded, **{name: "left"})  # says so, and does not do so

    violation = check_batch(elsewhere, ["abcd", "d"], max_length=3)

    assert str(violation).startswith(f"input_ids of the batch is: {found} instead of ")


def test_a_mask_that_counts_padding_is_found(padded: Any) -> None:
    def ones(*texts: Any, **how: Any) -> Any:
        encoding = padded(*texts, **how)
        if "padding" in how:
            encoding["attention_mask"] = [[1] * len(row) for row in encoding["attention_mask"]]
        return encoding

    violation = check_batch(Faulty(padded, call=ones), ["ab", "a"])

    assert (
        str(violation)
        == "attention_mask of the batch is: [[1, 1], [1, 1]] instead of [[1, 1], [1, 0]], for ['ab', 'a']"
    )


def test_a_tokenizer_that_encodes_differently_is_found(tokenizer: Any) -> None:
    spaced = Faulty(tokenizer, encode=lambda text, **how: tokenizer.encode(" " + text, **how))

    assert str(check_same(tokenizer, spaced, "a")) == "the other tokenizer's ids are: [32, 97] instead of [97], for 'a'"


def test_a_tokenizer_that_decodes_differently_is_found(tokenizer: Any) -> None:
    skips = Faulty(tokenizer, decode=lambda ids, **how: tokenizer.decode(ids, **(how | {"skip_special_tokens": True})))

    violation = check_same(tokenizer, skips, "a" + END)

    assert str(violation) == f"the other tokenizer decodes it to: 'a' instead of 'a{END}', for 'a{END}'"
