"""What a test needs of the environment that it runs in."""

from __future__ import annotations

import pytest

from pytest_hfmodels.engines import missing
from pytest_hfmodels.engines.availability import installed

_ABSENT = missing("tensorflow")

needs_both_engines = pytest.mark.skipif(
    _ABSENT is not None or missing("torch") is not None, reason=_ABSENT or "install torch"
)
TRANSFORMERS = installed("transformers")
