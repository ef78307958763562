"""The budget for explaining one difference: eight forward passes and one `generate` of the test's model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.engines.capture import captured_scores

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.engines import Classification, ForwardPass, LoadedModel
    from pytest_hfmodels.engines.base import IntArray
    from pytest_hfmodels.engines.capture import StepScores
    from pytest_hfmodels.kinds.evidence import LiveModel

FORWARD_PASSES = 8
GENERATES = 1


class OutOfPassesError(Exception):
    """The model may not be asked any more."""


class Passes:
    """The model, and how often it may still be asked. Every method raises `OutOfPassesError` beyond that.

    Args:
        origin: the model that made the record.
        settings: what the test asked for.
    """

    def __init__(self, origin: LiveModel, settings: Mapping[str, Any]) -> None:
        self.origin = origin
        self.settings = settings
        self._left = {"forward": FORWARD_PASSES, "generate": GENERATES}

    def forward(
        self, rows: Sequence[Sequence[int]] | IntArray, loaded: LoadedModel | None = None, mask: IntArray | None = None
    ) -> ForwardPass:
        """Run the model, or another load of it, over rows of one length."""
        self._spend("forward")
        return (loaded or self.origin.loaded).forward(np.asarray(rows, dtype=np.int64), mask)

    def classify(self, ids: IntArray, mask: IntArray | None, loaded: LoadedModel | None = None) -> Classification:
        """Run the classifier, or another load of it, over a batch, see `LoadedModel.classify`."""
        self._spend("forward")
        return (loaded or self.origin.loaded).classify(ids, mask, None, self.settings.get("problem_type"))

    def generate(self, prompt: Sequence[int], **changes: Any) -> StepScores:
        """Generate once more, and return what every step chose from: ids so far -> scores of the next token."""
        self._spend("generate")
        loaded = self.origin.loaded
        with PROCESS_LOCK, captured_scores() as scores:
            loaded.generate(np.asarray([prompt], dtype=np.int64), None, {**self.settings, **changes})
        return scores

    def _spend(self, what: str) -> None:
        if not self._left[what]:
            raise OutOfPassesError
        self._left[what] -= 1
