"""Two texts as the hunks of a unified diff: for people, and for `git apply`. Standard library only."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTEXT = 3
# Lines beyond which looking for those that have moved takes too long: it grows with their square.
_MANY = 4000
_NO_NEWLINE = "\\ No newline at end of file"

_Tag: TypeAlias = Literal["replace", "delete", "insert", "equal"]
_Opcode: TypeAlias = tuple[_Tag, int, int, int, int]


def hunks(before: str, after: str) -> Iterator[str]:
    """Yield the lines of the hunks, without their ends.

    Only a line feed ends a line, as for git: a text may hold other characters that Python takes for a line's end.
    """
    old, new = _lines(before), _lines(after)
    for group in _Matched(old, new).get_grouped_opcodes(CONTEXT):
        yield f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@"
        for tag, first, last, new_first, new_last in group:
            if tag == "equal":
                yield from _marked(" ", old[first:last])
                continue
            yield from _marked("-", old[first:last])
            yield from _marked("+", new[new_first:new_last])


class _Matched(SequenceMatcher[str]):
    """Pairs of lines that are found in a time that megabytes allow, too."""

    def __init__(self, old: Sequence[str], new: Sequence[str]) -> None:
        super().__init__(None, "", "")
        self._old, self._new = old, new

    def get_opcodes(self) -> list[_Opcode]:
        """Return what differs, with the common start and end taken off first."""
        old, new = self._old, self._new
        start = _shared(old, new, 0)
        end = _shared(old[::-1], new[::-1], start)
        last, new_last = len(old) - end, len(new) - end
        within = _opcodes(old[start:last], new[start:new_last])
        found = [(tag, i + start, j + start, k + start, m + start) for tag, i, j, k, m in within]
        if start:
            found.insert(0, ("equal", 0, start, 0, start))
        if end:
            found.append(("equal", last, len(old), new_last, len(new)))
        return found


def _opcodes(old: Sequence[str], new: Sequence[str]) -> list[_Opcode]:
    if len(old) + len(new) <= _MANY:
        return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    if len(old) != len(new):
        return [("replace", 0, len(old), 0, len(new))]
    found: list[_Opcode] = []
    for place, (line, line_now) in enumerate(zip(old, new, strict=True)):
        tag: _Tag = "equal" if line == line_now else "replace"
        first = found.pop()[1] if found and found[-1][0] == tag else place
        found.append((tag, first, place + 1, first, place + 1))
    return found


def _shared(old: Sequence[str], new: Sequence[str], taken: int) -> int:
    """Return how many lines both begin with, at most what `taken` leaves of the shorter."""
    most = min(len(old), len(new)) - taken
    return next((place for place in range(most) if old[place] != new[place]), most)


def _lines(text: str) -> list[str]:
    """Return the lines with their ends; the last may have none."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"{mark}{line.removesuffix(chr(10))}"
        if not line.endswith("\n"):
            yield _NO_NEWLINE


def _range(first: int, last: int) -> str:
    """Return `line,count` as diff counts: an empty range is named by the line before it."""
    count = last - first
    return f"{first + 1 if count else first},{count}"
