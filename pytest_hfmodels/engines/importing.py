"""Importing hundreds of thousands of objects that live as long as the process, for `upstream` alone."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector during a block of imports, then restore it.

    It takes a fifth of the import time of transformers and torch. The imported objects are not frozen (`gc.freeze`),
    because `gc.get_objects()` in a later test would miss them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
