"""Runs a model without a trace in the test's own output; for what asks a model beside the test."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.base import PROCESS_LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def in_silence() -> Iterator[None]:
    """Keep upstream's output and warnings out of the test's own."""
    with PROCESS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with upstream.quiet() if "transformers" in sys.modules else nullcontext():
            yield
