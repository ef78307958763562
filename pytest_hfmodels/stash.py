"""Keys of what a run keeps on pytest's configuration and items. Every module may import this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_hfmodels.models import ModelCache
    from pytest_hfmodels.snapshots import HFSnapshot

CACHE: pytest.StashKey[ModelCache] = pytest.StashKey()
SNAPSHOT: pytest.StashKey[HFSnapshot] = pytest.StashKey()
CALL: pytest.StashKey[pytest.TestReport] = pytest.StashKey()
COMPARED: pytest.StashKey[int] = pytest.StashKey()  # the number of comparisons when the test function ended
