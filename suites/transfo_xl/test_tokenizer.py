"""Text to ids and back, with Moses' rules (sacremoses) and a vocabulary of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from suites.transfo_xl import DOG, NAME, PROMPT

if TYPE_CHECKING:
    from pytest_hfmodels import HFModel


def test_the_encoding_holds_input_ids_only(transfo_xl: HFModel) -> None:
    assert list(transfo_xl.tokenizer(NAME)) == ["input_ids"]


def test_a_name_has_one_id_per_word(transfo_xl: HFModel) -> None:
    ids = transfo_xl.tokenizer.encode(NAME)

    assert ids == [16, 42, 13, 79]
    assert transfo_xl.tokenizer.convert_ids_to_tokens(ids) == NAME.split()


@pytest.mark.parametrize("text", [NAME, DOG, PROMPT])
def test_a_text_survives_a_round_trip(transfo_xl: HFModel, text: str) -> None:
    decoded = transfo_xl.tokenizer.decode(transfo_xl.tokenizer.encode(text))

    assert decoded.replace(" .", ".") == text.replace(" .", ".")


def test_an_unknown_word_is_unk(transfo_xl: HFModel) -> None:
    *_, last = transfo_xl.tokenizer.encode("My name is Zyxwvut")

    assert last == transfo_xl.tokenizer.unk_token_id
