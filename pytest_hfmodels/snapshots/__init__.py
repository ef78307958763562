"""Snapshots: the file format, the pure comparison, and their keeping by syrupy.

May import records; explain, reports and fixtures stand on it. Nothing here runs a model.
"""

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.comparison import Comparison, Difference, compare
from pytest_hfmodels.kinds.tolerance import NOISE_FLOOR, Tolerance, tolerance_for
from pytest_hfmodels.snapshots.format import dump, load
from pytest_hfmodels.verdicts import Verdict

if TYPE_CHECKING:
    from pytest_hfmodels.snapshots.assertion import (
        HFSnapshot,
        InconsistentRecordWarning,
        NearTieWarning,
        UnusedSnapshotWarning,
    )

__all__ = [
    "NOISE_FLOOR",
    "Comparison",
    "Difference",
    "HFSnapshot",
    "InconsistentRecordWarning",
    "NearTieWarning",
    "Tolerance",
    "UnusedSnapshotWarning",
    "Verdict",
    "compare",
    "dump",
    "load",
    "tolerance_for",
]


_WITH_SYRUPY = ("HFSnapshot", "InconsistentRecordWarning", "NearTieWarning", "UnusedSnapshotWarning")


def __getattr__(name: str) -> object:
    if name not in _WITH_SYRUPY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_hfmodels.snapshots import assertion  # imports syrupy, which only tests with a snapshot need

    return getattr(assertion, name)
