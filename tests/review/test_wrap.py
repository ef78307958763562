from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hfmodels.review.wrap import columns, fold, fold_all


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("abcdefghijklmn", ["abcdefghij", "klmn"]),
        ("a abcdefghijklmn", ["a", "abcdefghij", "klmn"]),
        ("文字文字文字", ["文字文字文", "字"]),
        ("e\u0301" * 11, ["e\u0301" * 10, "e\u0301"]),
    ],
)
def test_a_text_is_broken_into_lines(text: str, lines: list[str]) -> None:
    assert list(fold(text, 10)) == lines


def test_further_lines_stand_below_the_first_s_text() -> None:
    assert list(fold("one two three", 10, first="was ", rest="    ")) == ["was one", "    two", "    three"]


@given(text=st.text(st.characters(exclude_categories=["Cc", "Cs"])), width=st.integers(10, 60))
def test_no_line_is_too_wide_and_no_letter_is_lost(text: str, width: int) -> None:
    lines = list(fold(text, width, first="was ", rest="    "))

    assert all(columns(line) <= width for line in lines)
    assert "".join("".join(lines).removeprefix("was").split()) == "".join(text.split())


def test_items_stay_whole() -> None:
    assert list(fold_all(["a accept", "r reject", "q quit"], 20)) == ["a accept  r reject", "q quit"]
