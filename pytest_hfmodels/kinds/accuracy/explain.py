"""Why the accuracy fell: token ids, preprocessor or forward pass differ, the last two on the first rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain import stages
from pytest_hfmodels.explain.ablation import Measured
from pytest_hfmodels.explain.explainer import Explainer, of_checkpoint
from pytest_hfmodels.explain.forward_pass import largest
from pytest_hfmodels.kinds.accuracy.record import AccuracyRecord
from pytest_hfmodels.kinds.comparison import largest_movement
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.inputs import ROUNDING, inputs_differ
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.evidence import Block
    from pytest_hfmodels.kinds.explanation import Explanation

    AccuracyCase = Case[AccuracyRecord]


class _Accuracy(Explainer[AccuracyRecord]):
    decisions = "answers"

    def output(self, case: AccuracyCase) -> Explanation:
        recorded, observed = case.recorded, case.observed
        if recorded.value == observed.value:
            return case.because(None, "the accuracy is as recorded, but the file contradicts the rows: it was edited")
        if recorded.tokens and recorded.tokens != observed.tokens:
            return stages.inputs(case, "tokenizer")
        moved = [*inputs_differ(recorded.processed, observed.processed, ROUNDING)]
        if moved:
            return stages.inputs(case, "preprocessor", observed.processed, moved)
        if case.part is not None:
            return of_checkpoint(case, case.part)
        if not recorded.blocks or len(recorded.blocks) != len(observed.blocks):
            said = "the same checkpoint and rows give different answers; the snapshot has no fingerprints of this model"
            return case.because(None, said)
        drift = _moved(recorded.blocks, observed.blocks)
        said = f"on the first rows the outputs of the blocks moved by at most {drift:.2g} of their size"
        evidence = [Evidence(said, {"relative": drift})]
        if drift <= case.floor:
            said = "the blocks are as recorded on the first rows: the reason is in other rows or after the blocks"
            return case.because(None, said, evidence)
        if case.passes is None:
            return self.without_model(case, evidence)
        return self.beyond_the_floor(case, drift, observed.blocks, evidence)

    def is_given(self, case: AccuracyCase, difference: Difference) -> bool:
        return stages.is_of_the_test(difference.what) or super().is_given(case, difference)

    def measure(self, case: AccuracyCase, loaded: LoadedModel | None) -> Measured:
        live = case.observed.live
        assert live is not None
        both: dict[str, Any] = {"recorded": live.first, "observed": live.first}
        explainer: Any = kind_of(live.first).explainer()
        blocks = explainer.measure(replace(case, **both), loaded).blocks
        return Measured(_moved(case.recorded.blocks, blocks), blocks)


def _moved(recorded: Sequence[Block], observed: Sequence[Block]) -> float:
    """Return the largest movement of the blocks' normalized figures."""
    return largest(
        [largest_movement(before.normalized, now.normalized) for before, now in zip(recorded, observed, strict=True)]
    )


EXPLAINER = _Accuracy()
