from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pytest_hfmodels.reports.words import around, sides, words

from ..example_records import PROMPT, generation
from . import example_results as examples


def roles(before: str, now: str) -> list[list[tuple[str, str]]]:
    return [[(piece.role, piece.text) for piece in side] for side in words(before, now)]


@pytest.mark.parametrize(
    ("before", "now", "different"),
    [
        ("I am Ada and I am a person.", "I am Ada but I am not a person.", [["and"], ["but", " not"]]),
        ("one two", "one\ntwo", [[" "], ["\n"]]),
        ("the cat sat", "the cat sat on", [[], [" on"]]),
        ("a b c d e", "v w c x y", [["a b c d e"], ["v w c x y"]]),  # one word alone is chance
        ("我喜欢猫", "我喜欢狗", [["猫"], ["狗"]]),
        ("", "x", [[], ["x"]]),
        ("Hi.<|im_end|>", "Hi.<|eot_id|>", [["<|im_end|>"], ["<|eot_id|>"]]),
        ("a <s> b", "a </s> b", [["<s>"], ["</s>"]]),
        ("x [PAD][SEP]", "x [PAD][CLS]", [["[SEP]"], ["[CLS]"]]),
        ("if a < b:", "if a <= b:", [["<"], ["<="]]),
    ],
)
def test_words_that_differ(before: str, now: str, different: list[list[str]]) -> None:
    found = roles(before, now)

    assert [[text for role, text in side if role == "different" and text] for side in found] == different
    assert ["".join(text for _, text in side) for side in found] == [before, now]


def test_the_prompt_is_a_piece_of_its_own() -> None:
    before, now = sides(examples.changed())

    assert before is not None
    assert [(piece.role, piece.text) for piece in now] == [
        *(("prompt", PROMPT.text), ("same", " Ada "), ("different", "but"), ("same", " I"))
    ]
    assert [piece.text for piece in before if piece.role == "different"] == ["and"]


def test_a_prompt_is_found_in_a_text_that_is_cut() -> None:
    long = 400 * "All work and no play. "
    prompt = replace(PROMPT, text=long)
    found = examples.told(*(generation(prompt=prompt, text=f"{long}{end}") for end in ("Jack sat.", "Jack ran.")))

    _, now = sides(found)

    assert [piece.role for piece in now] == ["prompt", "same", "different", "same"]
    assert len(now[0].text) == 2000 - len("Jack ")


def test_a_cut_has_a_sign() -> None:
    (pieces, _) = words("x " * 100 + "one" + " y" * 100, "x " * 100 + "two" + " y" * 100)

    assert "".join(piece.text for piece in around(pieces, 4, 7)) == "…x x one y y…"


def test_the_side_that_lost_a_word_is_cut_at_the_same_place() -> None:
    _, now = words("I am not sad." + " x" * 100, "I am sad." + " x" * 100)

    assert "".join(piece.text for piece in around(now, 5, 4)) == "I am sad.…"


def test_long_texts_with_nothing_in_common_take_no_time() -> None:
    began = time.process_time()

    words(" ".join(map(str, range(2000))), " ".join(map(str, range(2000, 0, -1))))

    assert time.process_time() - began < 1
