"""Why the output of a classifier differs: forward pass, loss, the word that it reads, or how labels are read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.explain import mutations, stages
from pytest_hfmodels.explain.ablation import Measured
from pytest_hfmodels.explain.case import release_of, rules_of
from pytest_hfmodels.explain.explainer import Explainer, differs_sentence, first_beyond
from pytest_hfmodels.explain.forward_pass import largest, moved_evidence
from pytest_hfmodels.kinds.classification.kind import label_ties
from pytest_hfmodels.kinds.classification.record import ClassificationRecord
from pytest_hfmodels.kinds.comparison import largest_movement
from pytest_hfmodels.kinds.evidence import fingerprint
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.reference import classifier_loss, pooled_positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.explanation import Explanation

    ClassificationCase = Case[ClassificationRecord]

# Which word each release's classifier reads, for a reader.
_POOLING = {
    "count": "the one at the number of words that are no padding (before 4.32)",
    "first-padding": "the one before the first padding (4.32 to 4.48)",
    "right-most": "the right-most that is no padding (from 4.49 on)",
}


class _Classification(Explainer[ClassificationRecord]):
    decisions = "readings"

    def output(self, case: ClassificationCase) -> Explanation:
        recorded, observed = case.recorded, case.observed
        tie = max(label_ties(recorded, observed), key=lambda tie: tie.margin, default=None)
        close = [] if tie is None else [tie.evidence]
        pairs = zip(recorded.inputs, observed.inputs, strict=False)
        if any(len(before.logits) != len(now.logits) for before, now in pairs):
            return case.because("forward", "the classifier gives another number of logits than recorded", close)
        moved = logits_moved(recorded, observed.logits)
        evidence = [moved_evidence(case, f"the logits moved by at most {moved:.2g}", moved), *close]
        if moved <= case.floor:
            other_labels = any(difference.stage == "labels" for difference in case.comparison.differences)
            if other_labels and not (tie is not None and tie.proven):
                return _reading(case, close)
            return self._within_the_floor(case, moved, evidence)
        if case.passes is None:
            return self.without_model(case, evidence)
        pooled = _pooling(case) if case.part is None else None
        if pooled is not None:
            sentence, found = pooled
            evidence.insert(1, found)
            return case.because("forward", sentence, evidence, block="pooling", rules=("pooling",))
        explained = self.beyond_the_floor(case, moved, observed.blocks, evidence)
        alone = _alone(case) if explained.cause == "forward" else []
        return replace(explained, evidence=(*explained.evidence, *alone))

    def measure(self, case: ClassificationCase, loaded: LoadedModel | None) -> Measured:
        live: Any = case.observed.live
        assert case.passes is not None
        seen = case.passes.classify(live.ids, live.mask, loaded)
        return Measured(logits_moved(case.recorded, seen.logits), fingerprint(seen.hidden_states, live.mask))

    def is_given(self, case: ClassificationCase, difference: Difference) -> bool:
        return stages.is_of_the_test(difference.what) or super().is_given(case, difference)

    def settings(self, case: ClassificationCase, names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation:
        said = f"the classifier's settings differ from the recorded ones: {', '.join(names)}"
        return case.because("settings", said, evidence)

    def _within_the_floor(self, case: ClassificationCase, moved: float, evidence: list[Evidence]) -> Explanation:
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
        return self.within_the_floor(case, moved, evidence, always=True)


def logits_moved(recorded: ClassificationRecord, logits: Any) -> float:
    """Return how far logits (B, labels) are from the recorded ones."""
    return largest([_row_moved(row.logits, now) for row, now in zip(recorded.inputs, logits, strict=True)])


def _row_moved(before: Sequence[float], now: Sequence[float]) -> float:
    return largest([largest_movement(before, map(float, now))])


def _reading(case: ClassificationCase, close: list[Evidence]) -> Explanation:
    """Explain other labels of the same logits."""
    pairs = zip(case.recorded.inputs, case.observed.inputs, strict=False)
    names = [f"{before.label!r:.40} is {now.label!r:.40} now" for before, now in pairs if before.label != now.label]
    evidence = [Evidence("the logits are as recorded, within the noise floor"), *close]
    evidence += [Evidence(f"labels: {', '.join(dict.fromkeys(names))}")] if names else []
    overridden = case.changed_overrides(("id2label", "label2id"))
    if overridden:
        return case.because("test", case.overrides_sentence(overridden), evidence)
    if case.part == "config":
        said = "the checkpoint's configuration is another, and names the labels otherwise (id2label)"
        return case.because("checkpoint:config", said, evidence)
    changes = mutations.of_settings(case.origin, ["id2label"])
    if changes:
        return case.because("test", mutations.sentence(changes), evidence)
    return case.because("decoding", "the same logits give other labels", evidence)


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
    if before.pooling == here.pooling or not callable(head):
        return None
    pad = observed.effective.get("pad_token_id")
    positions = pooled_positions(live.ids, pad, before)
    elsewhere = positions != pooled_positions(live.ids, pad, here)
    rows = [_row_moved(row.logits, now) > case.floor for row, now in zip(recorded.inputs, observed.logits, strict=True)]
    if rows != elsewhere.tolist():
        return None  # the texts that moved are not those in which another word is read
    states = passes.classify(live.ids, live.mask).hidden_states
    if not states:
        return None
    words = states[-1][np.arange(len(positions)), positions]
    logits = np.asarray(head(passes.origin.loaded.tensor(words.astype(observed.provenance.dtype))).tolist())
    # The output at a padding token is undefined and differs between releases.
    mask = np.ones_like(live.ids) if live.mask is None else live.mask
    read = [row for row in np.flatnonzero(elsewhere) if mask[row, positions[row]]]
    after = [_row_moved(recorded.inputs[row].logits, logits[row]) for row in read]
    if any(moved > case.floor for moved in after):
        return None
    sentence = f"the classifier reads a different word: now {_POOLING[here.pooling]}"
    return f"{sentence}; in {release_of(recorded)} {_POOLING[before.pooling]}", _read(int(elsewhere.sum()), after)


def _read(count: int, after: list[float]) -> Evidence:
    """Return for how many texts the earlier word gives the recorded logits; for the others it is padding."""
    said = f"only the texts moved in which the two words differ ({count})"
    if after:
        said += (
            f"; reading the earlier word gives the recorded logits for {len(after)} of them, within {max(after):.2g}"
        )
    if count > len(after):
        said += f"; for {count - len(after)} the earlier word is padding"
    return Evidence(said, {"texts": count, "as_recorded": len(after)})


def _alone(case: ClassificationCase) -> list[Evidence]:
    """Return whether the text that moved most says what was recorded once it is alone, without padding."""
    inputs = case.recorded.inputs
    if len(inputs) < 2:
        return []
    assert case.passes is not None
    moved = [_row_moved(row.logits, now) for row, now in zip(inputs, case.observed.logits, strict=True)]
    worst = moved.index(max(moved))
    logits = case.passes.classify(np.asarray([inputs[worst].ids], np.int64), None).logits[0]
    after = _row_moved(inputs[worst].logits, logits)
    word = "as recorded" if after <= moved[worst] / 4 else "no nearer to it"
    said = f"text {worst + 1} moved most, by {moved[worst]:.2g}; alone in its batch it is {word}, {after:.2g} away"
    return [Evidence(said, {"input": worst, "before": moved[worst], "after": after})]


EXPLAINER = _Classification()
