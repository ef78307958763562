"""Text broken into lines by how many columns a terminal gives it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def fold(text: str, width: int, *, first: str = "", rest: str = "") -> Iterator[str]:
    """Yield lines of at most `width` columns, broken after spaces where there are some.

    Args:
        text: one line.
        width: columns.
        first: what the first line begins with.
        rest: what further lines begin with.
    """
    line, used = first, columns(first)
    for word in _words(text):
        needed = columns(word.rstrip(" "))
        if used + needed > width and line.strip() and line not in (first, rest):
            yield line.rstrip(" ")
            line, used = rest, columns(rest)
        if used + needed <= width:
            line, used = line + word, used + columns(word)
            continue
        for character in word:  # longer than a line
            if used + columns(character) > width:
                yield line.rstrip(" ")
                line, used = rest, columns(rest)
            line, used = line + character, used + columns(character)
    yield line.rstrip(" ")


def fold_all(items: Iterable[str], width: int) -> Iterator[str]:
    """Yield lines of whole items, with two spaces between."""
    line = ""
    for item in items:
        joined = f"{line}  {item}" if line else item
        if columns(joined) > width and line:
            yield line
            joined = item
        line = joined
    yield line


def columns(text: str) -> int:
    """Return how many columns a text takes: two for an East Asian letter, none for a mark on another."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _words(text: str) -> Iterator[str]:
    """Yield words with the spaces behind them."""
    start = 0
    for place in range(1, len(text)):
        if text[place - 1] == " " and text[place] != " ":
            yield text[start:place]
            start = place
    yield text[start:]
