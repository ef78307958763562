"""Two texts word by word: which words both sides share, which differ, and what of them is the prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.results.model import Compared, Excerpt

# Han, kana and Hangul are written without spaces: each sign counts as a word.
_SIGNS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# A special token is one word: <|im_end|> (some have wide bars), </s>, <0x0A>, [CLS].
_SPECIAL = r"<[|\uff5c][^\s<>|\uff5c]+[|\uff5c]>|</?\w+>|\[[A-Z]+\d*\]"
_WORD = re.compile(rf"{_SPECIAL}|\s+|[{_SIGNS}]|[^\W{_SIGNS}]+|(?:(?!{_SPECIAL})[^\w\s])+")
_LEAST = 2  # words that both sides share; between others, fewer are chance
_MOST = 160_000  # pairs of words to compare; beyond, everything between the first and the last difference is marked


@dataclass(frozen=True)
class Piece:
    """A part of a text: of the prompt, `same` on both sides, or `different`; empty if only the other side has more."""

    text: str
    role: Literal["prompt", "same", "different"]


def sides(found: Compared) -> tuple[tuple[Piece, ...] | None, tuple[Piece, ...]]:
    """Return the texts of both sides in pieces; None for a side without a text."""
    now = found.observed.text
    if found.recorded is None:
        return None, tuple(_with_prompt([Piece(now.text, "same")], now))
    then = found.recorded.text
    before, here = words(then.text, now.text)
    return tuple(_with_prompt(before, then)), tuple(_with_prompt(here, now))


def words(before: str, now: str) -> tuple[list[Piece], list[Piece]]:
    """Return two texts in pieces that are `same` or `different`."""
    one, other = _WORD.findall(before), _WORD.findall(now)
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    shorter = min(len(one), len(other)) - start
    pairs = zip(one[::-1][:shorter], other[::-1][:shorter], strict=True)
    end = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    left, right = one[start : len(one) - end], other[start : len(other) - end]
    blocks = [(start, start, 0), *((start + a, start + b, size) for a, b, size in _shared(left, right))]
    blocks += [(len(one) - end, len(other) - end, end)]
    return _pieces(one, start, [(a, size) for a, _, size in blocks]), _pieces(
        other, start, [(b, size) for _, b, size in blocks]
    )


def _shared(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Yield where both sides have the same words between differences."""
    if len(left) * len(right) > _MOST:
        return
    for a, b, size in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        if sum(not word.isspace() for word in left[a : a + size]) >= _LEAST:
            yield a, b, size


def _pieces(text: Sequence[str], start: int, blocks: Sequence[tuple[int, int]]) -> list[Piece]:
    found, place = [Piece("".join(text[:start]), "same")], start
    for begin, size in blocks:
        found += [Piece("".join(text[place:begin]), "different"), Piece("".join(text[begin : begin + size]), "same")]
        place = begin + size
    if not any(piece.text for piece in found if piece.role == "different"):
        # An empty piece says where the other side has more.
        rest = Piece("".join(text[start:]), "same")
        return [*_joined(found[:1]), Piece("", "different"), *_joined([rest])]
    return list(_joined(found))


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the pieces that hold something, neighbours of one role as one."""
    last: Piece | None = None
    for piece in pieces:
        if last is not None and piece.text and piece.role == last.role:
            last = Piece(last.text + piece.text, last.role)
        elif piece.text:
            if last is not None:
                yield last
            last = piece
    if last is not None:
        yield last


def _with_prompt(pieces: Iterable[Piece], side: Excerpt) -> Iterator[Piece]:
    """Yield the pieces, with what both sides share of the prompt as pieces of its own."""
    left = side.given
    for piece in pieces:
        if left > 0 and piece.role == "same":
            yield Piece(piece.text[:left], "prompt")
            if piece.text[left:]:
                yield replace(piece, text=piece.text[left:])
        else:
            yield piece
        left -= len(piece.text)


def same_start(pieces: Sequence[Piece]) -> int:
    """Return how many characters come before the first difference."""
    first = next((n for n, piece in enumerate(pieces) if piece.role == "different"), len(pieces))
    return sum(len(piece.text) for piece in pieces[:first])


def around(pieces: Sequence[Piece], before: int, after: int) -> tuple[Piece, ...]:
    """Return the pieces from `before` characters ahead of the first difference to `after` behind; `…` marks a cut."""
    length, split = sum(len(piece.text) for piece in pieces), same_start(pieces)
    start, end = max(0, split - before), min(length, split + after)
    found, place = [Piece("…", "same")] if start else [], 0
    for piece in pieces:
        shown = piece.text[max(0, start - place) : max(0, end - place)]
        found += [replace(piece, text=shown)] if shown else []
        place += len(piece.text)
    return (*found, *([Piece("…", "same")] if end < length else []))
