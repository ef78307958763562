"""Importing hundreds of thousands of objects that live as long as the process, for `upstream` alone."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def lasting() -> Iterator[None]:
    """Keep the garbage collector from looking through what is imported in a block, then and ever after.

    transformers and torch leave the collector so much to look through that it takes a fifth of their import, and a
    quarter of a second at each full collection afterwards, of which pytest does several when it ends. Garbage is
    collected first, so that what is frozen (`gc.freeze`) is alive; reference counts go on freeing it as ever.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
