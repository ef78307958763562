"""Strategies for texts: drawn Unicode for tokenizers, padded rows of token ids for classifiers.

hypothesis is imported inside: the checkers of this folder work without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypothesis.strategies import SearchStrategy

    from pytest_hfmodels.engines.base import IntArray

Side = Literal["left", "right"]

# One alternative a line, in the order in which failures shrink: plain words first.
_PIECES: tuple[tuple[str, ...], ...] = (
    ("a", "is", "name", "engineer", "Zyxwvut"),
    (" ", "  ", "   ", "\n", "\t", "\r\n", "\n\n", "\u00a0", "\u2003", "\u2028", "\u3000"),
    (".", ",", "?", "!", "...", "-", "--", "—", "'", '"', "(", ")", "@", "#", "%", "/", "<", "|", ">"),
    ("'s", "n't", "'re", "'ve", "'m", "'ll", "'d", "I'm", " .", " ,", " ' ", " n't", " 's"),
    ("0", "7", "42", "5,000", "3.14", "1,2,3", "٣", "४", "½", "²"),
    ("Grüße", "naïve", "İstanbul", "Жизнь", "Ωμέγας", "שלום", "مرحبا", "नमस्ते", "สวัสดี", "世界", "こんにちは", "안녕"),
    ("🐕", "🤗", "👩\u200d💻", "👍🏽", "🇩🇪", "❤\ufe0f", "1\ufe0f\u20e3"),
    ("e\u0301", "a\u0308\u0323", "\u0301", "\u200d", "\u200b", "\ufeff", "\u202e", "ﬁ", "Ａ", "\ufffd", "\U0001f1e9"),
    ("\0", "\x01", "\x1c", "\x1f", "\x7f", "\x85", "\xad", "\x0b", "\x0c"),
)


def unicode_texts(*, special: Sequence[str] = (), pieces: int = 10) -> SearchStrategy[str]:
    """Return a strategy for texts that a tokenizer should decode unchanged.

    Words of a dozen scripts, emoji of several code points, combining and control characters, runs of spaces, numbers,
    contractions, and any other assigned character except surrogates, in any order. Texts shrink to few plain pieces.

    Args:
        special: more strings to draw, such as the tokenizer's special tokens.
        pieces: the most pieces in a text; a text may be empty.
    """
    from hypothesis import strategies as st

    # Unassigned characters are left out: their classes depend on the version of the Unicode tables.
    free = st.text(st.characters(exclude_categories=("Cs", "Cn")), min_size=1, max_size=4)
    known = [st.sampled_from(alternatives) for alternatives in _PIECES]
    given = [st.sampled_from(tuple(special))] if special else []
    return st.lists(st.one_of(*known, *given, free), max_size=pieces).map("".join)


def separated_texts(*, words: Sequence[str] = (), pieces: int = 10) -> SearchStrategy[str]:
    """Return a strategy for texts with a space around every word, mark and contraction, which decoding may clean up.

    Args:
        words: words to draw besides a few plain ones.
        pieces: the most words and marks in a text.
    """
    from hypothesis import strategies as st

    known = st.sampled_from((*_PIECES[0], *words))
    marks = st.sampled_from((".", ",", "?", "!", "'", "n't", "'m", "'s", "'ve", "'re", "'ll", ";"))
    return st.lists(st.one_of(known, marks), max_size=pieces).map(" ".join)


@dataclass(frozen=True)
class PaddedTexts:
    """A batch of texts as token ids, and how it is padded.

    Args:
        texts: each text's ids, without padding.
        pad: the id of the padding token.
        side: the side of the padding.
    """

    texts: tuple[tuple[int, ...], ...]
    pad: int
    side: Side

    @property
    def ids(self) -> IntArray:
        """The padded ids, (B, L) int64."""
        return self._rows([list(text) for text in self.texts], self.pad)

    @property
    def mask(self) -> IntArray:
        """1 for a text's tokens and 0 for padding, (B, L) int64."""
        return self._rows([[1] * len(text) for text in self.texts], 0)

    def _rows(self, rows: list[list[int]], fill: int) -> IntArray:
        import numpy as np

        longest = max(len(row) for row in rows)
        padding = [[fill] * (longest - len(row)) for row in rows]
        pairs = zip(padding, rows, strict=True)
        return np.asarray([gap + row if self.side == "left" else row + gap for gap, row in pairs], np.int64)


def padded_texts(
    vocabulary: int,
    pad: int,
    *,
    sides: Sequence[Side] = ("right", "left"),
    lengths: tuple[int, int] = (1, 8),
    batch: int = 8,
    pad_inside: bool = False,
) -> SearchStrategy[PaddedTexts]:
    """Return a strategy for batches of texts of different lengths, padded on one side.

    They shrink to one text of one small id.

    Args:
        vocabulary: ids are drawn from `range(vocabulary)`.
        pad: the id of the padding token.
        sides: the sides that padding may be on.
        lengths: shortest and longest text, tokens.
        batch: the most texts in a batch.
        pad_inside: whether the padding token may also be inside a text, before its last token, as it may be if it is
            the end-of-text token.
    """
    from hypothesis import strategies as st

    word = st.integers(0, vocabulary - 1).filter(lambda token: token != pad)
    token = st.one_of(word, st.just(pad)) if pad_inside else word
    shortest, longest = lengths
    text = st.builds(
        lambda start, last: (*start, last), st.lists(token, min_size=shortest - 1, max_size=longest - 1), word
    )
    texts = st.lists(text, min_size=1, max_size=batch).map(tuple)
    return st.builds(PaddedTexts, texts=texts, pad=st.just(pad), side=st.sampled_from(tuple(sides)))
