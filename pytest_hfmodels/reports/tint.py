"""Colours for who prints to a terminal: its own few, and none where somebody does not want or cannot see them.

The commands and the review ask `tint_for` as they write. What pytest prints is coloured afterwards, by `colours`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

OFF = "\033[0m"


@dataclass(frozen=True)
class Tint:
    """Colours text, or leaves it as it is.

    Args:
        on: whether it does.
    """

    on: bool

    def red(self, text: str, also: str = "") -> str:
        """What was."""
        return self.styled(f"31;{also}" if also else "31", text)

    def green(self, text: str, also: str = "") -> str:
        """What is."""
        return self.styled(f"32;{also}" if also else "32", text)

    def cyan(self, text: str) -> str:
        """Where, or what to type."""
        return self.styled("36", text)

    def bold(self, text: str) -> str:
        """What to look at first."""
        return self.styled("1", text)

    def styled(self, codes: str, text: str) -> str:
        """Return text between escape sequences of these codes."""
        return f"\033[{codes}m{text}{OFF}" if self.on and text else text


def tint_for(stream: TextIO) -> Tint:
    """Return the colours for a stream: a terminal that is not called dumb, unless `NO_COLOR` is set."""
    return Tint(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
