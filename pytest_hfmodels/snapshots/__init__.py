"""Snapshots: the file format, where files live, keeping them by syrupy, the ledger, and what is pending.

May import kinds; explain, reports and fixtures stand on it. Nothing here runs a model. The public names resolve on
first use (PEP 562): asking where something lives imports neither records nor syrupy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hfmodels.foundation.verdicts import Verdict
    from pytest_hfmodels.kinds.comparison import Comparison, Difference, compare
    from pytest_hfmodels.kinds.tolerance import NOISE_FLOOR, Tolerance, tolerance_for
    from pytest_hfmodels.snapshots.assertion import (
        HFSnapshot,
        InconsistentRecordWarning,
        NearTieWarning,
        UnusedSnapshotWarning,
    )
    from pytest_hfmodels.snapshots.format import dump, load

_HOMES = {
    "kinds.comparison": ("Comparison", "Difference", "Verdict", "compare"),
    "kinds.tolerance": ("NOISE_FLOOR", "Tolerance", "tolerance_for"),
    "snapshots.assertion": ("HFSnapshot", "InconsistentRecordWarning", "NearTieWarning", "UnusedSnapshotWarning"),
    "snapshots.format": ("dump", "load"),
}
__all__ = ["NOISE_FLOOR", "Comparison", "Difference", "Tolerance", "Verdict", "compare", "tolerance_for"]
__all__ += ["HFSnapshot", "InconsistentRecordWarning", "NearTieWarning", "UnusedSnapshotWarning", "dump", "load"]


if not TYPE_CHECKING:  # for a checker, a name that is not imported above does not exist

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"pytest_hfmodels.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
