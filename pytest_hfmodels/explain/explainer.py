"""What a kind of record adds to explaining, and the conclusions that every kind draws about numbers."""

# ruff: noqa: ARG002 - defaults ignore what overrides read

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from pytest_hfmodels.explain import stages
from pytest_hfmodels.explain.ablation import DriftProbe, Measured
from pytest_hfmodels.explain.forward_pass import from_there_on, where
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.base import R
from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds import Block
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.explanation import Explanation


class Explainer(Generic[R]):
    """What is particular to explaining a kind. The defaults suit a record without a model.

    A kind with a model overrides `output` and `measure`; `numbers` then explains numbers that have moved.
    """

    decisions: ClassVar[str] = "outputs"  # what rounding chooses between
    covered: ClassVar[bool] = True  # whether the digests of a checkpoint cover all files that the record depends on

    def output(self, case: Case[R]) -> Explanation:
        """Explain numbers, ids, labels or texts that differ for the same prompt with the same settings."""
        if case.part is not None:
            return of_checkpoint(case, case.part)
        said = "the same checkpoint, settings and input gave a different output, and this kind is not examined"
        return case.because(None, said)

    def inputs(self, case: Case[R]) -> Explanation:
        """Explain other inputs of the model for what the test gives."""
        return stages.inputs(case, "preprocessor")

    def measure(self, case: Case[R], loaded: LoadedModel | None) -> Measured:
        """Run the model, or another load of it, over the recorded input."""
        raise NotImplementedError

    def rounding(self, case: Case[R], loaded: LoadedModel) -> float:
        """Compute the record's numbers again with this load, and return how far they moved at most.

        This measures the noise floor when a record is written: both sides of the case are that record.
        """
        return self.measure(case, loaded).moved

    def is_unchanged(self, case: Case[R], loaded: LoadedModel) -> bool:
        """Return whether the model in memory still gives the numbers that it gave in the test."""
        return not self.rounding(case, loaded) > 2 * case.floor

    def other_ways(self, case: Case[R]) -> Iterable[Callable[[], float]]:
        """Return other ways to compute the record's numbers, such as one row alone; each returns how far they move."""
        return ()

    def output_ids(self, record: R) -> Iterable[Sequence[int]]:
        """Return token ids that the model must have, besides those of the prompt."""
        return ()

    def is_given(self, case: Case[R], difference: Difference) -> bool:
        """Return whether the test asks for the observed value of a setting."""
        return case.asked is not None and difference.what in case.asked

    def is_configured(self, case: Case[R], names: Sequence[str]) -> bool:
        """Return whether the checkpoint's configuration sets these; True if the model is no longer in memory."""
        if case.origin is None:
            return True
        model = case.origin.loaded.model
        configs: list[Any] = [getattr(model, name, None) for name in ("generation_config", "config")]
        fields = {name for config in configs if hasattr(config, "to_diff_dict") for name in config.to_diff_dict()}
        others = {"num_labels": "id2label", "max_length": "max_new_tokens", "min_length": "min_new_tokens"}
        return all({name, others.get(name, name)} & fields for name in names)

    def by_a_rule(self, case: Case[R], names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation | None:
        """Explain settings whose values on both sides a known rule of the releases gives; None without such a rule."""
        return None

    def settings(self, case: Case[R], names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation:
        """Explain settings that neither the test nor the checkpoint has changed."""
        return case.because("settings", f"the settings differ from the recorded ones: {', '.join(names)}", evidence)

    def is_broken(self, difference: Difference) -> bool:
        """Return whether a recorded number is not finite although it must be."""
        return not math.isfinite(difference.recorded)

    def contradictions(self, case: Case[R]) -> Iterable[Evidence]:
        """Return evidence that one of the records contradicts itself."""
        return ()

    def probe(self, case: Case[R], drift: float) -> DriftProbe:
        """Return numbers that moved by `drift`, for ablations."""
        return DriftProbe(case, drift, lambda loaded: self.measure(case, loaded))

    def beyond_the_floor(
        self, case: Case[R], drift: float, blocks: Sequence[Block], evidence: Sequence[Evidence]
    ) -> Explanation:
        """Explain numbers that moved beyond the noise floor: another checkpoint, a setting, or the forward pass."""
        probe = self.probe(case, drift)
        if case.part is None:
            return self._forward(probe, blocks, evidence)
        other = case.then.dtype != case.now.dtype or case.then.attention != case.now.attention
        proven = probe.ablate(surroundings=other)
        if proven is None or not any(ablation.returns for ablation in probe.ablations):
            found = of_checkpoint(case, case.part)
            proven = replace(found, sentence=probe.rest_sentence(found.sentence))
        return concluded(probe, proven, [*evidence, *probe.outcomes(), *probe.evidence])

    def within_the_floor(
        self, case: Case[R], drift: float, evidence: Sequence[Evidence], *, always: bool = False
    ) -> Explanation:
        """Explain numbers that moved within the noise floor by what changed around the model, or by a load `always`."""
        probe = self.probe(case, drift)
        other = case.then.dtype != case.now.dtype or case.then.attention != case.now.attention or any(case.machine())
        proven = probe.ablate(surroundings=always or other) or case.because(None, self._unknown(case))
        return concluded(probe, proven, [*evidence, *probe.outcomes(), *probe.evidence])

    def without_model(self, case: Case[R], evidence: Sequence[Evidence]) -> Explanation:
        """Explain from the evidence alone, because the model that made the record is no longer in memory."""
        if case.part is not None and case.comparison.drift > 0:
            return of_checkpoint(case, case.part, evidence)
        sentence = "the model that made this output is no longer in memory, so the plugin cannot find the reason"
        near = case.comparison.verdict is Verdict.NEAR_TIE
        return case.because(None, self._unknown(case) if near else sentence, evidence)

    def _unknown(self, case: Case[R]) -> str:
        if case.comparison.verdict is Verdict.NEAR_TIE:
            return f"rounding chose between two equally good {self.decisions}; it is unknown why it rounded differently"
        beyond = first_beyond(case.comparison, 2 * case.floor)  # a margin is the difference of two numbers
        if beyond is not None:
            return differs_sentence(beyond)
        return (
            f"the numbers moved beyond this test's tolerance of {case.comparison.tolerance.absolute:.2g} but within "
            f"the noise floor of {case.floor:.2g}; none of the ablations explains it"
        )

    def _forward(self, probe: DriftProbe, blocks: Sequence[Block], evidence: Sequence[Evidence]) -> Explanation:
        """Name the cause, or the first part whose output differs in the load with the recorded settings."""
        case = probe.case
        proven = probe.ablate() or probe.not_separated()
        base = probe.base if proven is None else None
        block, found = where(case.recorded.blocks, blocks if base is None else base.blocks, case.floor_then)
        if proven is None and base is None and case.then.dtype != case.now.dtype:
            said = "the block that differs is unknown: in another dtype every block rounds differently"
            block, found = None, [Evidence(said)]
        shares = probe.shares_sentence()
        if proven is None and shares is not None:
            found.append(Evidence(shares))
        if proven is None:
            said = f"the forward pass differs{from_there_on(block)}"
            doubt = probe.doubt()
            cause = "forward" if doubt is None else None
            proven = case.because(cause, probe.rest_sentence(said if doubt is None else f"{said}; {doubt}"))
        evidence = [*evidence[:1], *found, *probe.outcomes(), *evidence[1:], *probe.evidence]
        return replace(concluded(probe, proven, evidence), block=block)


def concluded(probe: DriftProbe, found: Explanation, evidence: Iterable[Evidence]) -> Explanation:
    """Return an explanation with its evidence and the ablations that were tried."""
    return replace(found, evidence=tuple(evidence), ablations=tuple(probe.ablations))


def of_checkpoint(case: Case[Any], part: str, evidence: Iterable[Evidence] = ()) -> Explanation:
    """Return that a part of the checkpoint (`weights`, `config`) is the cause."""
    said = "the checkpoint's weights differ from the recorded ones (different digest)"
    if part == "config" and case.observed.checkpoint.origin == "adopted":
        said = "the adopted model's configuration differs from the recorded one; a snapshot keeps only its digest, so "
        said += "the field is unknown"
    elif part == "config":
        said = "the checkpoint's config.json or generation_config.json differs from the recorded one; a snapshot keeps "
        said += "only their digest, so the field is unknown: `git diff` of the checkpoint shows it"
    return case.of_files(part, said, evidence)


def first_beyond(comparison: Comparison, most: float) -> Difference | None:
    """Return the first number that moved by more than `most`."""
    numbers = (found for found in comparison.differences if found.stage == "numbers")
    return next((found for found in numbers if not abs(found.recorded - found.observed) <= most), None)


def differs_sentence(found: Difference) -> str:
    """Return a sentence that only names the number that differs."""
    broken = "" if math.isfinite(found.recorded) else ", which is not a finite number"
    return f"the {found.what} differs: the file records {found.recorded:.6g}{broken}; now it is {found.observed:.6g}"
