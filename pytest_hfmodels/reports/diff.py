"""Two texts as the hunks of a unified diff: for people, and for `git apply`."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANY = 20_000  # lines beyond which difflib takes too long: all of them are then told as changed


def hunks(before: str, after: str) -> Iterator[str]:
    """Yield the lines of the hunks, without their ends.

    Only a line feed ends a line, as for git: a text may hold other characters that Python takes for a line's end.
    """
    old, new = _lines(before), _lines(after)
    if len(old) + len(new) > _MANY and old != new:
        found = [f"@@ -{min(1, len(old))},{len(old)} +{min(1, len(new))},{len(new)} @@\n"]
        found += [*(f"-{line}" for line in old), *(f"+{line}" for line in new)]
    else:
        found = list(unified_diff(old, new))[2:]  # without the names of files
    for line in found:
        yield line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    """Return the lines with their ends; the last may have none."""
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]
