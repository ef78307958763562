"""Finds out why two records differ: the cause, and the evidence for it.

Importing it imports neither NumPy nor an engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.explanation import CAUSES, Ablation, Evidence, Explanation, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.comparison import Comparison

__all__ = ["CAUSES", "Ablation", "Evidence", "Explanation", "explain", "in_words"]


def explain(
    comparison: Comparison, recorded: Record, observed: Record, *, test: str, options: Sequence[str] = ()
) -> Explanation:
    """Say why two records differ; see `explaining.explain`.

    Raises:
        ImportError: there is no NumPy.
    """
    from pytest_hfmodels.explain import explaining  # NumPy and the reference: only for a test that fails

    return explaining.explain(comparison, recorded, observed, test=test, options=options)
