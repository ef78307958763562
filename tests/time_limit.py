"""A time limit for a block, so that a test fails instead of hanging."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class StillRunning(BaseException):
    """The time is up. Not an Exception, so that the code under test does not catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise StillRunning if the block takes longer, and again every second. POSIX, main thread."""

    def end(_number: int, _frame: object) -> None:
        raise StillRunning(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
