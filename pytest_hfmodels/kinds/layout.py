"""How values are laid out in a snapshot: token ids, digits, sentences. Imports msgspec."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

DIGITS = 9
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # both engines take ids of 64 bits


def rounded(value: Any) -> Any:
    """Return a float with the digits that a snapshot keeps; anything else as it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def sentences(text: str) -> list[str]:
    """Split text after sentence ends and line ends, losing nothing: `"".join(sentences(text)) == text`."""
    return re.findall(r".+?(?:[.!?]+\s+|\n+|\Z)", text, flags=re.DOTALL)
