"""Keys of what a run keeps on pytest's configuration and items. Every module may import this."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_hfmodels.models import ModelCache
    from pytest_hfmodels.snapshots import HFSnapshot
    from pytest_hfmodels.snapshots.ledger import Variant

CACHE: pytest.StashKey[ModelCache] = pytest.StashKey()
SNAPSHOT: pytest.StashKey[HFSnapshot] = pytest.StashKey()
CALL: pytest.StashKey[pytest.TestReport] = pytest.StashKey()
COMPARED: pytest.StashKey[int] = pytest.StashKey()  # the number of comparisons when the test function ended
VARIANTS: pytest.StashKey[dict[Path, Variant]] = pytest.StashKey()  # the variants in force, by the bases
