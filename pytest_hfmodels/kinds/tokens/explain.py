"""Why the labels of tokens differ: the forward pass, or how labels are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.forward_pass import ForwardPassExplainer, other_labels
from pytest_hfmodels.kinds.tokens.kind import pairs, ties
from pytest_hfmodels.kinds.tokens.record import TokensRecord, own_rows
from pytest_hfmodels.kinds.tolerance import all_proven

if TYPE_CHECKING:
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.evidence import LivePass
    from pytest_hfmodels.kinds.explanation import Evidence, Explanation
    from pytest_hfmodels.kinds.tolerance import Tie

    TokensCase = Case[TokensRecord]


class _Tokens(ForwardPassExplainer[TokensRecord]):
    """Compares the score and half the margin of the first label, whichever it is: no near-tie moves them far."""

    compared = "scores and margins"
    decisions = "labels"

    def rows(self, record: TokensRecord) -> list[list[float]]:
        return [[number for one in row.tokens for number in (one.score, one.margin / 2)] for row in record.rows]

    def read(self, record: TokensRecord, seen: Any, live: LivePass) -> list[list[float]]:
        count = len(next(iter(live.inputs.values())))
        rows = []
        table = own_rows(seen.outputs["logits"], live.inputs, count)
        for row, logits in zip(record.rows[live.first :], table, strict=False):
            own = logits[[token.index for token in row.tokens]]
            best = np.sort(own, axis=-1)[:, ::-1]
            margins = best[:, 0] - best[:, 1] if best.shape[1] > 1 else np.full(len(best), np.inf)
            scores = np.exp(log_softmax(own).max(axis=-1))
            rows.append(np.stack([scores, margins / 2], axis=-1).reshape(-1).tolist())
        return rows

    def ties(self, case: TokensCase) -> list[Tie]:
        return ties(case.recorded, case.observed)

    def decided(self, case: TokensCase, drift: float, evidence: list[Evidence]) -> Explanation:
        differs = any(difference.stage == "labels" for difference in case.comparison.differences)
        if differs and not all_proven(self.ties(case)):
            names = ((before.label, now.label) for before, now in pairs(case.recorded, case.observed))
            return other_labels(case, names, evidence)
        return super().decided(case, drift, evidence)


EXPLAINER = _Tokens()
