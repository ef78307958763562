"""Makes control characters and characters that change the direction of text visible."""

from __future__ import annotations

import re

# C0 and C1 without tab and newline; zero-width and bidirectional marks, embeddings, overrides and isolates; line and
# paragraph separators; the byte order mark; tag characters; surrogates, which no encoding holds alone.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def named(character: str) -> str:
    """Return `U+202E` for a character."""
    return f"U+{ord(character):04X}"


def visible(text: str) -> str:
    """Return a text in which every unseen character is `⟨U+202E⟩`."""
    return UNSEEN.sub(lambda found: f"⟨{named(found[0])}⟩", text)


def visible_line(text: str) -> str:
    """Return the same on one line, with a sign for each newline and tab."""
    return visible(text).replace("\n", "↵").replace("\t", "⇥")
