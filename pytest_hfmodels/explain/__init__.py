"""Why an output differs: from two records, and the model that made one of them, to a cause and the figures behind it.

Stands on snapshots, records and `reference`; reports tell what it finds. `explain` is imported when it is asked for:
a ledger may name causes, and reading one imports nothing that computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.explain.explanation import CAUSES, Evidence, Explanation, Swap, in_words

if TYPE_CHECKING:
    from pytest_hfmodels.explain.explaining import explain

__all__ = ["CAUSES", "Evidence", "Explanation", "Swap", "explain", "in_words"]


def __getattr__(name: str) -> object:
    if name != "explain":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_hfmodels.explain.explaining import explain

    return explain
