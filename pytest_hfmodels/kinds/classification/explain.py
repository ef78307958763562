"""Why the output of a classifier differs: checkpoint, forward pass, loss, or how its logits are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain import mutations, stages
from pytest_hfmodels.explain.conclusions import (
    as_evidence_of_ablations,
    checkpoint_finding,
    conclusion,
    differs_sentence,
    first_beyond,
    made_by,
    of_the_checkpoint,
    within_the_floor,
    without_model,
)
from pytest_hfmodels.explain.config_overrides import changed_overrides, overrides_sentence
from pytest_hfmodels.explain.explainer import Explainer
from pytest_hfmodels.explain.near_tie import proof
from pytest_hfmodels.explain.stages import Diagnosis
from pytest_hfmodels.kinds.classification import numbers
from pytest_hfmodels.kinds.classification.compare import least_close
from pytest_hfmodels.kinds.explanation import Evidence, Explanation
from pytest_hfmodels.kinds.near_ties import floor_of
from pytest_hfmodels.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds.classification.record import ClassificationRecord
    from pytest_hfmodels.kinds.comparison import Comparison, Difference


def _output(
    comparison: Comparison, recorded: ClassificationRecord, observed: ClassificationRecord, passes: Passes | None
) -> Explanation:
    """Explain other numbers or labels of the same texts with the same settings."""
    tie = least_close(recorded, observed)
    close = [] if tie is None else [proof(tie)]
    if any(
        len(before.logits) != len(now.logits) for before, now in zip(recorded.inputs, observed.inputs, strict=False)
    ):
        return conclusion(
            comparison, Diagnosis("forward", "the classifier gives another number of logits than recorded", close)
        )
    floor = floor_of(recorded, observed)
    moved = numbers.logits_moved(recorded, observed.logits)
    part = stages.checkpoint_part(recorded, observed)
    if (
        moved <= floor
        and any(difference.stage == "labels" for difference in comparison.differences)
        and (tie is None or not tie.proven)
    ):
        return conclusion(comparison, _reading(recorded, observed, part, close))
    if part is not None and moved > floor:
        told = Evidence(f"the logits moved by at most {moved:.2g} (noise floor {floor:.2g})", {"drift": moved})
        if passes is None or observed.live is None:
            return conclusion(comparison, checkpoint_finding(part, [told, *close], observed))
        found = numbers.movement(moved, recorded, observed.live, passes, floor)
        return of_the_checkpoint(comparison, part, found, recorded, observed, passes, [told, *close])
    if passes is None or observed.live is None:
        return without_model(comparison, recorded, observed, close)
    beyond = first_beyond(comparison, 2 * floor)
    if (
        moved <= floor and beyond is not None and beyond.what == "margin of its labels"
    ):  # the recorded margin contradicts the recorded logits
        told = Evidence(f"the logits moved by at most {moved:.2g} (noise floor {floor:.2g})", {"drift": moved})
        return Explanation(comparison.verdict, None, differs_sentence(beyond), (told, *close))
    answer, evidence, ablations = numbers.explain_numbers(recorded, observed, passes, floor, comparison.tolerance)
    cause, sentence, block = answer.cause, answer.sentence, answer.block
    if comparison.verdict is Verdict.DRIFT and cause is None and moved <= floor:
        sentence = within_the_floor(comparison, floor)
    if comparison.verdict is Verdict.NEAR_TIE and cause is None:
        sentence = "rounding chose between two equally good readings; it is unknown why it rounded differently"
    evidence = [
        *(close if comparison.verdict is Verdict.NEAR_TIE else []),
        *evidence[:1],
        *as_evidence_of_ablations(ablations),
        *evidence[1:],
    ]
    if comparison.verdict is not Verdict.NEAR_TIE:
        evidence += close
    return Explanation(comparison.verdict, cause, sentence, tuple(evidence), tuple(ablations), block, answer.rules)


def _reading(
    recorded: ClassificationRecord, observed: ClassificationRecord, part: str | None, evidence: list[Evidence]
) -> Diagnosis:
    """Explain other labels of the same logits."""
    names = [
        f"{before.label!r:.40} is {now.label!r:.40} now"
        for before, now in zip(recorded.inputs, observed.inputs, strict=False)
        if before.label != now.label
    ]
    said = [Evidence("the logits are as recorded, within the noise floor"), *evidence]
    said += [Evidence(f"labels: {', '.join(dict.fromkeys(names))}")] if names else []
    overridden = [name for name in changed_overrides(recorded, observed) if name in ("id2label", "label2id")]
    if overridden:
        return Diagnosis("test", overrides_sentence(recorded, observed, overridden), said)
    if part == "config":
        sentence = "the checkpoint's configuration is another, and names the labels otherwise (id2label)"
        return Diagnosis("checkpoint:config", sentence, said)
    source = made_by(observed)
    changes = mutations.of_settings(None if source is None else source.origin, ["id2label"])
    if changes:
        return Diagnosis("test", mutations.sentence(changes), said)
    return Diagnosis("decoding", "the same logits give other labels", said)


def _settings(
    _recorded: ClassificationRecord, _observed: ClassificationRecord, names: Sequence[str], evidence: list[Evidence]
) -> Diagnosis:
    said = f"the classifier's settings differ from the recorded ones: {', '.join(names)}"
    return Diagnosis("settings", said, evidence)


def _is_given(difference: Difference, asked: Mapping[str, Any] | None, _observed: ClassificationRecord) -> bool:
    return stages.is_of_the_test(difference.what) or (asked is not None and difference.what in asked)


EXPLAINER: Explainer[ClassificationRecord] = Explainer(output=_output, is_given=_is_given, settings=_settings)
