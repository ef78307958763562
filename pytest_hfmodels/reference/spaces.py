"""The documented effect of `clean_up_tokenization_spaces` on a decoded text."""

from __future__ import annotations

_MARKS = (".", "?", "!", ",")
_ENDINGS = ("n't", "'m", "'s", "'ve", "'re")


def clean_up_spaces(text: str) -> str:
    """Return a text without the spaces before punctuation and English contractions."""
    for mark in _MARKS:
        text = text.replace(f" {mark}", mark)
    text = text.replace(" ' ", "'")
    for ending in _ENDINGS:
        text = text.replace(f" {ending}", ending)
    return text
