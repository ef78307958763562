"""Shows long work while it runs: downloads, reading weights. Nothing is shown without a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Show(Protocol):
    """Shows a piece of work while a block runs."""

    def __call__(self, what: str, size: int | None) -> AbstractContextManager[Callable[[int], object]]:
        """Show `what`, of `size` bytes; yield a function to call with the bytes done since its last call."""


_SHOW: ContextVar[Show | None] = ContextVar("show", default=None)


def show_with(show: Show) -> None:
    """Show long work from now on."""
    _SHOW.set(show)


@contextmanager
def long_work(what: str, size: int | None = None) -> Iterator[Callable[[int], object]]:
    """Show what the block does, if `show_with` was called.

    Args:
        what: in words: `reading the weights of ./models/bot`.
        size: bytes; None if unknown.

    Yields:
        A function to call with the number of bytes done since the last call.
    """
    show = _SHOW.get()
    if show is None:
        yield lambda _: None
    else:
        with show(what, size) as advance:
            yield advance
