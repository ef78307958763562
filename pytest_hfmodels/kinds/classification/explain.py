"""Why the output of a classifier differs: forward pass, loss, the word that it reads, or how labels are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.explain.case import release_of, rules_of
from pytest_hfmodels.explain.explainer import differs_sentence, first_beyond
from pytest_hfmodels.kinds.classification.kind import label_ties
from pytest_hfmodels.kinds.classification.record import ClassificationRecord
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.forward_pass import ForwardPassExplainer, other_labels, rows_moved
from pytest_hfmodels.kinds.tolerance import all_proven
from pytest_hfmodels.reference import classifier_loss, pooled_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.evidence import LivePass
    from pytest_hfmodels.kinds.explanation import Explanation
    from pytest_hfmodels.kinds.inputs import ModelInput
    from pytest_hfmodels.kinds.tolerance import Tie

    ClassificationCase = Case[ClassificationRecord]

# Which word each release's classifier reads, for a reader.
_POOLING = {
    "count": "the one found by counting the words that are not padding (before 4.32)",
    "first-padding": "the one before the first padding (4.32 to 4.48)",
    "right-most": "the right-most that is not padding (from 4.49 on)",
}


class _Classification(ForwardPassExplainer[ClassificationRecord]):
    compared = "logits"

    def processed(self, record: ClassificationRecord) -> Sequence[ModelInput]:
        return record.processed

    def rows(self, record: ClassificationRecord) -> Sequence[Sequence[float]]:
        return record.logits

    def read(self, record: ClassificationRecord, seen: Any, live: LivePass) -> Sequence[Sequence[float]]:  # noqa: ARG002
        rows: list[list[float]] = seen.logits.tolist()
        return rows

    def run(self, case: ClassificationCase, live: LivePass, loaded: LoadedModel | None) -> Any:
        assert case.passes is not None
        return case.passes.classify(live.inputs, loaded)

    def ties(self, case: ClassificationCase) -> list[Tie]:
        return label_ties(case.recorded, case.observed)

    def rule(self, case: ClassificationCase, evidence: list[Evidence]) -> Explanation | None:
        pooled = _pooling(case)
        if pooled is None:
            return None
        sentence, found = pooled
        evidence.insert(1, found)
        return case.because("forward", sentence, evidence, block="pooling", rules=("pooling",))

    def decided(self, case: ClassificationCase, drift: float, evidence: list[Evidence]) -> Explanation:
        differs = any(difference.stage == "labels" for difference in case.comparison.differences)
        if differs and not all_proven(self.ties(case)):
            same = Evidence("the logits are as recorded, within the noise floor")
            pairs = zip(case.recorded.labels, case.observed.labels, strict=True)
            return other_labels(case, pairs, [same, *evidence[1:]])
        if case.passes is None:
            return self.without_model(case, evidence)
        beyond = first_beyond(case.comparison, 2 * case.floor)
        if beyond is not None and beyond.what == "margin of its labels":  # it contradicts the recorded logits
            return case.because(None, differs_sentence(beyond), evidence)
        losses = case.recorded.loss, case.observed.loss
        if losses[0] and losses[1] and abs(losses[0].value - losses[1].value) > case.floor:
            evidence.insert(1, _loss(case))
            said = "the logits are as recorded, and the loss made of them is another"
            return case.because("forward", said, evidence, block="loss")
        return super().decided(case, drift, evidence)

    def settings(self, case: ClassificationCase, names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation:
        said = f"the classifier's settings differ from the recorded ones: {', '.join(names)}"
        return case.because("settings", said, evidence)


def _loss(case: ClassificationCase) -> Evidence:
    """Return the reference's loss for the logits and labels."""
    recorded, observed = case.recorded.loss, case.observed.loss
    assert recorded is not None
    assert observed is not None
    problem = case.observed.effective.get("problem_type")
    labels, logits = np.asarray(observed.labels), np.asarray(case.observed.logits)
    value = float(classifier_loss(logits, labels, None if problem == "inferred" else problem))
    return Evidence(
        f"the reference computes a loss of {value:.6g} from these logits; recorded {recorded.value:.6g}, "
        f"now {observed.value:.6g}",
        {"reference": value, "recorded": recorded.value, "observed": observed.value},
    )


def _pooling(case: ClassificationCase) -> tuple[str, Evidence] | None:
    """Read the words that the recording release read, and check whether that gives the recorded logits."""
    recorded, observed, passes, live = case.recorded, case.observed, case.passes, case.observed.live
    assert passes is not None
    assert live is not None
    before, here = rules_of(recorded), rules_of(observed)
    head = getattr(passes.origin.loaded.model, "score", None)
    if before.pooling == here.pooling or not callable(head) or "input_ids" not in live.inputs:
        return None
    pad, ids = observed.effective.get("pad_token_id"), live.inputs["input_ids"]
    positions = pooled_positions(ids, pad, before)
    elsewhere = positions != pooled_positions(ids, pad, here)
    if [moved > case.floor for moved in rows_moved(recorded.logits, observed.logits)] != elsewhere.tolist():
        return None  # the texts that moved are not those in which another word is read
    states = passes.classify(live.inputs).hidden_states
    if not states:
        return None
    words = states[-1][np.arange(len(positions)), positions]
    logits = np.asarray(head(passes.origin.loaded.tensor(words.astype(observed.provenance.dtype))).tolist())
    # The output at a padding token is undefined and differs between releases.
    mask = np.ones_like(ids) if live.mask is None else live.mask
    read = [row for row in np.flatnonzero(elsewhere) if mask[row, positions[row]]]
    after = rows_moved([recorded.logits[row] for row in read], logits[read].tolist())
    if any(moved > case.floor for moved in after):
        return None
    sentence = f"the classifier reads a different word: now {_POOLING[here.pooling]}"
    return f"{sentence}; in {release_of(recorded)} {_POOLING[before.pooling]}", _read(int(elsewhere.sum()), after)


def _read(count: int, after: list[float]) -> Evidence:
    """Return for how many texts the earlier word gives the recorded logits; for the others it is padding."""
    said = f"only texts in which the two words differ have moved ({count})"
    if after:
        said += (
            f"; reading the earlier word gives the recorded logits for {len(after)} of them, within {max(after):.2g}"
        )
    if count > len(after):
        said += f"; for {count - len(after)} the earlier word is padding"
    return Evidence(said, {"texts": count, "as_recorded": len(after)})


EXPLAINER = _Classification()
