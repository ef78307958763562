"""Importing hundreds of thousands of objects that live as long as the process, for `upstream` alone."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector from looking through what a block imports again and again, and leave it as it was.

    With transformers and torch that takes a fifth of their import. What they import is not frozen (`gc.freeze`) either:
    `gc.get_objects()` in a later test would miss it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
