"""How values are laid out in a snapshot: token ids, digits, sentences, tables. Imports msgspec."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

DIGITS = 9
TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # both engines take ids of 64 bits


def rounded(value: Any) -> Any:
    """Return a float with the digits that a snapshot keeps, a sequence as a list of such; anything else as it is."""
    if isinstance(value, tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def sentences(text: str) -> list[str]:
    """Split text after sentence ends and line ends, losing nothing: `"".join(sentences(text)) == text`."""
    return re.findall(r".+?(?:[.!?]+\s+|\n+|\Z)", text, flags=re.DOTALL)


def settings_table(effective: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that have a value: TOML has no None."""
    return {name: value for name, value in effective.items() if value is not None}


def as_table(value: Any, *names: str) -> dict[str, Any]:
    """Return these fields of a dataclass as a table."""
    return {name: rounded(getattr(value, name)) for name in names}
