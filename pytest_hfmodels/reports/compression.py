"""Where a page keeps the details of its tests: the first as they are, those beyond deflated, until the page is full.

`templates/report.js` inflates a pack when somebody opens a test of it.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TOGETHER = 50  # tests of a pack: more are packed more tightly, fewer are opened sooner
FULL = Markup("<p>The page is full: the JSON report (--hfmodels-json) tells the rest.</p>\n")


@dataclass(frozen=True)
class Kept:
    """Where the details of a test are.

    Args:
        body: they themselves, or None where they are packed.
        place: the number of their pack, and theirs within.
    """

    body: Markup | None
    place: tuple[int, int] | None = None


class Packs:
    """The details of a page.

    Args:
        plain: bytes to hold as they are; a browser without script shows these.
        room: bytes that all of them may take, packed ones as packed.
    """

    def __init__(self, *, plain: int, room: int) -> None:
        self._plain, self._room = plain, room
        self.packed: list[str] = []

    def keep(self, bodies: Iterable[Markup]) -> Iterator[Kept]:
        """Yield where each is; those that no longer fit are not even looked at: nothing is yielded for them."""
        waiting: list[Markup] = []
        for body in bodies:
            weight = len(_bytes(body))
            if not self.packed and not waiting and weight <= min(self._plain, self._room):
                self._plain -= weight
                self._room -= weight
                yield Kept(body)
                continue
            waiting.append(body)
            if len(waiting) == _TOGETHER:
                if not self._pack(waiting):
                    return
                yield from self._places(waiting)
                waiting = []
        if waiting and self._pack(waiting):
            yield from self._places(waiting)

    def _pack(self, bodies: list[Markup]) -> bool:
        """Keep a pack, if there is room for it."""
        packed = base64.b64encode(zlib.compress(_bytes(json.dumps(bodies, ensure_ascii=False)), 9)).decode()
        if len(packed) > self._room:
            self._room = 0
            return False
        self._room -= len(packed)
        self.packed.append(packed)
        return True

    def _places(self, bodies: list[Markup]) -> Iterator[Kept]:
        return (Kept(None, (len(self.packed) - 1, place)) for place in range(len(bodies)))


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")
