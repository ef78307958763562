"""How values are laid out in a snapshot: digits, sentences."""

from __future__ import annotations

from typing import Any

DIGITS = 9


def rounded(value: Any) -> Any:
    """Return a float with the digits that a snapshot keeps; anything else as it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def sentences(text: str) -> list[str]:
    """Split text after sentence ends and line ends, losing nothing: `"".join(sentences(text)) == text`."""
    import re

    return re.findall(r".+?(?:[.!?]+\s+|\n+|\Z)", text, flags=re.DOTALL)
