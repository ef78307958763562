"""Colour for what commands print: the terminal's own few, and none where somebody does not want or cannot see them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


@dataclass(frozen=True)
class Tint:
    """Colours text, or leaves it as it is.

    Args:
        on: whether it does.
    """

    on: bool

    def red(self, text: str) -> str:
        """What was."""
        return self._in("31", text)

    def green(self, text: str) -> str:
        """What is."""
        return self._in("32", text)

    def cyan(self, text: str) -> str:
        """Where."""
        return self._in("36", text)

    def bold(self, text: str) -> str:
        """What to look at first."""
        return self._in("1", text)

    def _in(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.on and text else text


def tint_for(stream: TextIO) -> Tint:
    """Return the colours for a stream: a terminal that is not called dumb, unless `NO_COLOR` is set."""
    return Tint(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
