"""Conclusions that every kind draws: about its checkpoint, about numbers below the noise floor, and without a model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_hfmodels.explain import stages
from pytest_hfmodels.explain.ablation import changed_by_the_test
from pytest_hfmodels.explain.stages import Diagnosis
from pytest_hfmodels.kinds.explanation import Evidence, Explanation
from pytest_hfmodels.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.explain.ablation import DriftProbe
    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds.base import Record
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.evidence import ModelRef
    from pytest_hfmodels.kinds.explanation import Ablation


def conclusion(comparison: Comparison, finding: Diagnosis) -> Explanation:
    """Return a finding as the explanation of a comparison."""
    return Explanation(
        comparison.verdict,
        finding.cause,
        finding.sentence,
        tuple(finding.evidence),
        rules=finding.rules,
        package=finding.package,
    )


def first_beyond(comparison: Comparison, most: float) -> Difference | None:
    """Return the first number that moved by more than `most`."""
    for found in comparison.differences:
        if found.stage == "numbers" and not abs(found.recorded - found.observed) <= most:
            return found
    return None


def differs_sentence(found: Difference) -> str:
    """Return a sentence that only names the number that differs."""
    broken = "" if math.isfinite(found.recorded) else ", which is not a finite number"
    recorded, observed = f"{found.recorded:.6g}", f"{found.observed:.6g}"
    return f"the {found.what} differs: the file records {recorded}{broken}; now it is {observed}"


def within_the_floor(comparison: Comparison, floor: float) -> str:
    """Return the sentence for numbers that moved less than the noise floor but more than the test's tolerance."""
    beyond = first_beyond(comparison, 2 * floor)  # a margin is the difference of two numbers
    if beyond is not None:
        return differs_sentence(beyond)
    return (
        f"the numbers moved beyond this test's tolerance of {comparison.tolerance.absolute:.2g} but within the noise "
        f"floor of {floor:.2g}; none of the ablations explains it"
    )


def of_the_checkpoint(
    comparison: Comparison,
    part: str,
    found: DriftProbe,
    recorded: Record,
    observed: Record,
    passes: Passes,
    evidence: list[Evidence],
) -> Explanation:
    """Blame another checkpoint, unless loading it again reproduces the recorded numbers: then the test changed it."""
    proven = changed_by_the_test(found, recorded, observed, passes.origin)
    evidence = [*evidence, *as_evidence_of_ablations(found.ablations), *found.evidence]
    ablations = tuple(found.ablations)
    if proven is not None and any(ablation.returns for ablation in ablations):
        return Explanation(comparison.verdict, proven.cause, proven.sentence, tuple(evidence), ablations)
    finding = checkpoint_finding(part, evidence, observed)
    return replace(
        conclusion(comparison, replace(finding, sentence=found.forward(finding.sentence))), ablations=ablations
    )


def checkpoint_finding(part: str, evidence: list[Evidence], observed: Record) -> Diagnosis:
    """Return that a part of the checkpoint (`weights`, `config`) is the cause."""
    if part == "config" and observed.checkpoint.origin == "adopted":
        sentence = "the adopted model's configuration differs from the recorded one; a snapshot keeps only its digest"
        return Diagnosis("checkpoint:config", f"{sentence}, so the field is unknown", evidence)
    words = {
        "weights": "weights differ from the recorded ones (another digest)",
        "config": "config.json or generation_config.json differs from the recorded one; a snapshot keeps only their "
        "digest, so the field is unknown: `git diff` of the checkpoint shows it",
    }
    return Diagnosis(f"checkpoint:{part}", f"the checkpoint's {words[part]}", evidence)


def without_model(comparison: Comparison, recorded: Record, observed: Record, close: list[Evidence]) -> Explanation:
    """Explain from the evidence alone, because the model that made the record is no longer in memory."""
    part = stages.checkpoint_part(recorded, observed)
    if part is not None and comparison.drift > 0:
        return conclusion(comparison, checkpoint_finding(part, close, observed))
    sentence = "the model that made this output is no longer in memory, so the plugin cannot find the reason"
    if comparison.verdict is Verdict.NEAR_TIE:
        sentence = "rounding chose between two equally good tokens; it is unknown why it rounded differently"
    return Explanation(comparison.verdict, None, sentence, tuple(close))


def as_evidence_of_ablations(ablations: list[Ablation]) -> Iterator[Evidence]:
    """Yield what each ablation did to the movement."""
    for ablation in ablations:
        before, after = (f"{math.nan if moved is None else moved:.2g}" for moved in (ablation.before, ablation.after))
        told = f"the movement stays at {after}" if before == after else f"the movement is {after} instead of {before}"
        yield Evidence(
            f"with {ablation.what} {told}",
            {"before": ablation.before, "after": ablation.after},
        )


def made_by(record: Record) -> ModelRef | None:
    """Return the model in memory that made a record, and what it was asked; None if it is gone."""
    return None if record.live is None else record.live.made_by


def unexplained(
    comparison: Comparison, recorded: Record, observed: Record, _passes: Passes | None = None
) -> Explanation:
    """Explain a record whose kind has no explanation of its own: by another checkpoint, or not at all."""
    part = stages.checkpoint_part(recorded, observed)
    if part is not None:
        return conclusion(comparison, checkpoint_finding(part, [], observed))
    sentence = "the same checkpoint, settings and input gave another output, and this kind of record is not examined"
    return Explanation(comparison.verdict, None, sentence)
