"""Why embeddings differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.embedding.record import EmbeddingRecord
from pytest_hfmodels.kinds.forward_pass import ForwardPassExplainer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.evidence import LivePass
    from pytest_hfmodels.kinds.explanation import Evidence, Explanation
    from pytest_hfmodels.kinds.inputs import ModelInput


class _Embedding(ForwardPassExplainer[EmbeddingRecord]):
    compared = "vectors"

    def rows(self, record: EmbeddingRecord) -> list[Any]:
        return list(record.vectors)

    covered = False  # modules.json and the files that it names have no digest

    def read(self, record: EmbeddingRecord, seen: Any, live: LivePass) -> list[Any]:  # noqa: ARG002
        return list(live.vectors(seen, live.made_by.origin.loaded))  # type: ignore[attr-defined, union-attr]

    def processed(self, record: EmbeddingRecord) -> Sequence[ModelInput]:
        return record.processed

    def is_given(self, case: Case[EmbeddingRecord], difference: Difference) -> bool:
        return case.asked is not None and difference.what in case.asked

    def settings(self, case: Case[EmbeddingRecord], names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation:
        said = f"{', '.join(names)} differ from the recorded ones: the test gave them before, or the checkpoint's "
        said += "modules.json and the files that it names are others"
        return case.because("settings", said, evidence)


EXPLAINER = _Embedding()
