"""Why a plain value differs is not known: nothing says what made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_hfmodels.explain.explainer import Explainer
from pytest_hfmodels.kinds.values.record import ValuesRecord

if TYPE_CHECKING:
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.explanation import Explanation


class _Values(Explainer[ValuesRecord]):
    def output(self, case: Case[ValuesRecord]) -> Explanation:
        said = "a plain value does not say what made it; a record of the model (such as hf_model.generate) would"
        return case.because(None, said)


EXPLAINER = _Values()
