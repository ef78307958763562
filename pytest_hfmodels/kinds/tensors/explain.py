"""Why the outputs of a forward pass differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.explain import stages
from pytest_hfmodels.explain.explainer import first_beyond
from pytest_hfmodels.kinds.forward_pass import ForwardPassExplainer
from pytest_hfmodels.kinds.tensors.kind import KIND
from pytest_hfmodels.kinds.tensors.record import TensorsRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.evidence import LivePass
    from pytest_hfmodels.kinds.explanation import Evidence, Explanation
    from pytest_hfmodels.kinds.inputs import ModelInput

    TensorsCase = Case[TensorsRecord]


class _Tensors(ForwardPassExplainer[TensorsRecord]):
    """Compares the outputs, each in units of its recorded size where that is above 1, as one row."""

    compared = "outputs"

    def rows(self, record: TensorsRecord) -> list[Any]:
        return [_flat(record, {path: array.values for path, array in record.arrays.items() if not array.is_exact})]

    def read(self, record: TensorsRecord, seen: Any, live: LivePass) -> list[Any]:  # noqa: ARG002
        return [_flat(record, {path: seen.outputs[path] for path in record.arrays if path in seen.outputs})]

    def rounding(self, case: TensorsCase, loaded: LoadedModel) -> float:
        """Return how far the outputs moved in what the tolerance allows, which goes by the size of each number."""
        seen, found = self.run(case, case.observed.live, loaded), [0.0]  # type: ignore[arg-type]
        for path, array in case.observed.arrays.items():
            if not array.is_exact:
                moved = np.abs(array.values - seen.outputs[path].reshape(array.shape))
                found.append(float((moved / (1 + KIND.relative * np.abs(array.values))).max(initial=0.0)))
        return max(found)

    def processed(self, record: TensorsRecord) -> Sequence[ModelInput]:
        return record.inputs

    def output(self, case: TensorsCase) -> Explanation:
        first = case.comparison.differences[0]
        if first.what == "number of parameters with a gradient" and not (first.recorded and first.observed):
            said = "the test now asks for gradients" if first.observed else "the test no longer asks for gradients"
            return stages.of_the_test(case, said)
        return super().output(case)

    def inputs(self, case: TensorsCase) -> Explanation:
        text = case.comparison.differences[0].what in ("input_ids", "token_type_ids")
        return stages.inputs(
            case, "tokenizer" if text else "preprocessor", case.observed.inputs, given=case.recorded.inputs
        )

    def decided(self, case: TensorsCase, drift: float, evidence: list[Evidence]) -> Explanation:
        beyond = first_beyond(case.comparison, 2 * case.floor)
        if beyond is not None and beyond.what.startswith("gradient"):
            said = f"the outputs are as recorded, and the {beyond.what} has a different norm: {beyond.recorded:.6g} "
            said += f"-> {beyond.observed:.6g}; the plugin cannot find the reason in a backward pass"
            return case.because(None, said, evidence)
        return super().decided(case, drift, evidence)


def _flat(record: TensorsRecord, outputs: Mapping[str, Any]) -> Any:
    """Return all numbers of the outputs that the record has as floats."""
    floats = {path: array for path, array in record.arrays.items() if not array.is_exact and path in outputs}
    parts = [
        np.asarray(outputs[path], np.float64).reshape(-1) / max(1.0, array.norm / np.sqrt(max(1, array.size)))
        for path, array in floats.items()
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


EXPLAINER = _Tensors()
