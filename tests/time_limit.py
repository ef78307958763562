"""A limit on the time of a block, so that a test of something that hangs fails instead."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class StillRunning(BaseException):
    """The time is up. No Exception: what is tested must not take it for one of its own."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise StillRunning where the block takes longer, and again each second after. POSIX, main thread."""

    def end(_number: int, _frame: object) -> None:
        raise StillRunning(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
