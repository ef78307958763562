"""Why the output of a generation differs: checkpoint, forward pass, search, decoding."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

from pytest_hfmodels.engines.settings import effective_settings, given_settings, wanted_length
from pytest_hfmodels.explain import mutations, stages
from pytest_hfmodels.explain.ablation import ALIKE, Measured
from pytest_hfmodels.explain.case import rules_of
from pytest_hfmodels.explain.explainer import Explainer, concluded, of_checkpoint
from pytest_hfmodels.explain.forward_pass import largest, moved_evidence
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import abs_diff, first_divergence
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.generation import search
from pytest_hfmodels.kinds.generation.consistency import contradiction, contradiction_sentence
from pytest_hfmodels.kinds.generation.decoding import decoding
from pytest_hfmodels.kinds.generation.kind import DECODER_START, token_tie
from pytest_hfmodels.kinds.generation.record import GenerationRecord
from pytest_hfmodels.kinds.generation.teacher import (
    TeacherForcedPass,
    media_of,
    rounding,
    rounding_of_the_cache,
    scores_moved,
    teacher_forced,
)
from pytest_hfmodels.kinds.inputs import ROUNDING, inputs_differ
from pytest_hfmodels.kinds.tolerance import noise_floor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.explanation import Explanation

    GenerationCase = Case[GenerationRecord]

# Their defaults are the same in every release that the plugin runs with.
_CONSTANT = (
    *("do_sample", "min_length", "num_beams", "num_return_sequences"),
    *("length_penalty", "repetition_penalty", "no_repeat_ngram_size"),
)


# Whisper's settings that decide what its decoder starts with.
_OF_THE_START = ("language", "task", "return_timestamps", "prompt_ids")


class GenerationExplainer(Explainer[GenerationRecord]):
    """What a generation adds to explaining; see `Explainer` for each method."""

    # ruff: noqa: D102
    decisions = "tokens"

    def output(self, case: GenerationCase) -> Explanation:
        if case.comparison.differences[0].stage == "text":
            return decoding(case)
        moved = [*inputs_differ(case.recorded.processed, case.observed.processed, ROUNDING)]
        if moved:
            return stages.inputs(case, "preprocessor", case.observed.processed, moved)
        return _beside_the_scores(case, self._of_numbers(case))

    def inputs(self, case: GenerationCase) -> Explanation:
        return stages.inputs(case, "preprocessor", case.observed.processed, given=case.recorded.processed)

    def teacher(self, case: GenerationCase, loaded: LoadedModel | None = None) -> TeacherForcedPass:
        """Return what the model, or another load of it, says of the recorded tokens."""
        live = case.observed.live
        if loaded is None and live is not None and case.recorded.ids == case.observed.ids:  # the test has asked already
            return TeacherForcedPass(live.logits, case.observed.blocks)
        assert case.passes is not None
        return teacher_forced(case.passes, [case.recorded], media_of(case.observed), loaded)[0]

    def measure(self, case: GenerationCase, loaded: LoadedModel | None) -> Measured:
        teacher = self.teacher(case, loaded)
        return Measured(largest(teacher.moved(case.recorded)), teacher.blocks)

    def rounding(self, case: GenerationCase, loaded: LoadedModel) -> float:
        assert case.passes is not None
        return rounding(case.passes, [case.observed], loaded)

    def other_ways(self, case: GenerationCase) -> list[Callable[[], float]]:
        return [partial(rounding_of_the_cache, [case.observed])]

    def output_ids(self, record: GenerationRecord) -> Iterator[Sequence[int]]:
        yield record.ids
        yield from (beam.ids for beam in record.beams)

    def is_broken(self, difference: Difference) -> bool:
        suppressed = difference.what.endswith("processed log-probability") and difference.recorded == -math.inf
        return not difference.what.endswith("margin") and not suppressed and super().is_broken(difference)

    def is_given(self, case: GenerationCase, difference: Difference) -> bool:
        name, prompt = difference.what, len(case.observed.prefix)
        if name == DECODER_START:
            other = any(case.recorded.effective.get(one) != case.observed.effective.get(one) for one in _OF_THE_START)
            return other or name in given_settings(case.asked or {})
        if case.asked is None or stages.is_of_the_test(name):
            return stages.is_of_the_test(name)
        config = SimpleNamespace(**given_settings(case.asked))
        if name == "max_length":
            config.max_length = wanted_length(case.asked, prompt)
        given = name in vars(config) or (name == "min_length" and "min_new_tokens" in vars(config))
        return given and bool(effective_settings(config, {}, prompt)[name] == difference.observed)

    def by_a_rule(self, case: GenerationCase, names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation | None:
        sides = case.recorded, case.observed
        before, now = (rules_of(side).default_length_counts_prompt for side in sides)
        usual = [record.effective.get("max_length") == _default_length(record) for record in sides]
        if list(names) != ["max_length"] or before == now or not all(usual):
            return None
        words = {True: "20 tokens are the whole", False: "20 tokens are added to the prompt"}
        said = "the release's default of max_length has changed"
        said += f" (without a length, {words[now]}; before, {words[before]}; changed in 4.47)"
        return case.because("generation-defaults", said, evidence, rules=("default_length_counts_prompt",))

    def settings(self, case: GenerationCase, names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation:
        if "transformers" not in case.changed_packages():  # then the defaults are the same
            return case.because(None, f"{_differ(names)}, {stages.NO_RELEASE}", evidence)
        constant = [name for name in names if name in _CONSTANT]
        if constant:
            said = (
                f"{_differ(constant)}, and its default is the same in all releases: "
                "the test no longer gives the recorded value, the release ignores it, or the file was edited"
            )
            return case.because(None, said, evidence)
        said = f"{_differ(names)}. The test does not ask for {'it' if len(names) == 1 else 'them'}: either the release "
        said += "changed a default, or the test used to ask for the recorded value"
        if case.same("config") is None:
            said += ", or the configuration of the adopted model has changed, which cannot be compared across releases"
        return case.because(None, said, evidence)

    def contradictions(self, case: GenerationCase) -> Iterator[Evidence]:
        """Yield evidence for each side whose scores from generating differ from its own forward pass.

        The observed record knows whether a logits processor was on. With the same settings that holds for both.
        """
        sides = {"this run": contradiction(case.observed)}
        if case.observed.live is not None and case.recorded.effective == case.observed.effective:
            sides = {"the recorded side": contradiction(case.recorded, case.observed.live), **sides}
        for side, found in sides.items():
            if found is not None:
                position, step = found
                yield Evidence(
                    f"{side} contradicts itself at token {position + 1}: {contradiction_sentence(position, step)}",
                    {"forward": step.log_probability, "generating": step.processed},
                )

    def _of_numbers(self, case: GenerationCase) -> Explanation:
        """Run the model over the recorded tokens: the numbers have moved, or else the search may have changed."""
        tie, near = token_tie(case.recorded, case.observed), case.comparison.verdict is Verdict.NEAR_TIE
        close = [] if tie is None else [tie.evidence]
        if case.passes is None:
            return self.without_model(case, close)
        teacher = self.teacher(case)
        moved = teacher.moved(case.recorded)
        evidence, drift = _moved(case, moved), largest(moved)
        if drift <= case.floor:
            return self._of_the_search(case, teacher, drift, evidence, close)
        found = self.beyond_the_floor(case, drift, teacher.blocks, evidence if near else [*evidence, *close])
        # What follows a tie says that more than rounding is at work.
        return replace(found, verdict=Verdict.CHANGED) if near else found

    def _of_the_search(
        self,
        case: GenerationCase,
        teacher: TeacherForcedPass,
        drift: float,
        evidence: list[Evidence],
        close: list[Evidence],
    ) -> Explanation:
        """Explain other tokens or scores although the numbers of the recorded tokens have not moved."""
        moved = generating(case)
        rounding = self._rounding(case, drift, moved, [*close, *evidence])
        evidence = [*evidence, *close]
        other = rounding or self._in_memory(case, drift, evidence)
        if other is not None:
            return other
        found = search.check_search(case, teacher, moved)
        assert case.origin is not None
        changes = [*mutations.of_the_model(case.origin), *mutations.of_unrecorded_settings(case.origin)]
        if changes and not case.changed_packages():
            return case.because("test", mutations.sentence(changes), evidence)
        evidence = [*found.evidence, *_unrecorded(case.observed), *evidence]
        if changes:
            evidence.insert(0, mutations.as_evidence(changes))
            found = _doubted(found, "the model in memory has changed")
        found = _beside_the_configuration(case, found)
        if found.tie or (found.alike and found.cause is None):
            small = self.within_the_floor(case, drift, evidence)
            return small if small.cause is not None else replace(small, sentence=found.sentence)
        if found.cause is None and case.part == "weights" and drift > 0:
            return of_checkpoint(case, "weights", evidence)
        return case.because(found.cause, found.sentence, evidence, rules=found.rules)

    def _rounding(
        self, case: GenerationCase, drift: float, generating: float, evidence: list[Evidence]
    ) -> Explanation | None:
        """Explain a near-tie, or numbers that moved little while the same tokens came; None if it is more than that."""
        verdict = case.comparison.verdict
        beam_scores = any(difference.what == "beam score" for difference in case.comparison.differences)
        quiet = verdict is Verdict.NEAR_TIE or (generating <= case.floor and not beam_scores)
        if verdict is Verdict.CHANGED or not (quiet or case.then.dtype != case.now.dtype):
            return None
        found = self.within_the_floor(case, drift, evidence)
        # The coarser dtype's noise floor lies above the finer one's tolerance, so the search may have changed.
        return found if quiet or found.cause is not None else None

    def _in_memory(self, case: GenerationCase, drift: float, evidence: list[Evidence]) -> Explanation | None:
        """Explain small movements next to different tokens by a change in memory; None if there was no change."""
        if drift <= ALIKE:  # a fresh load cannot come closer
            return None
        probe = self.probe(case, drift)
        proven = probe.control()
        if proven is None or not any(ablation.returns for ablation in probe.ablations):
            return None
        return concluded(probe, proven, [*probe.outcomes(), *evidence, *probe.evidence])


def _moved(case: GenerationCase, moved: list[float]) -> list[Evidence]:
    """Return how far the recorded tokens' log-probabilities have moved; nothing without tokens."""
    if not moved:
        return []
    worst = max(range(len(moved)), key=lambda position: math.inf if math.isnan(moved[position]) else moved[position])
    said = f"the recorded tokens' log-probabilities moved by at most {moved[worst]:.2g}, at token {worst + 1}"
    return [moved_evidence(case, f"{said} {case.recorded.steps[worst].text!r:.40}", moved[worst], position=worst)]


def _differ(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'differs' if len(names) == 1 else 'differ'} from the recorded value"


def _default_length(record: GenerationRecord) -> int:
    """Return the whole length without a setting: 20 tokens, with or after the prompt."""
    return 20 if rules_of(record).default_length_counts_prompt else 20 + len(record.prefix)


def generating(case: GenerationCase) -> float:
    """Return how far the scores that the search chose from have moved, up to the first token that differs."""
    split = first_divergence(case.recorded.ids, case.observed.ids)
    shared = min(len(case.recorded.ids), len(case.observed.ids))
    count = shared if split is None else min(shared, split + 1)
    return largest(scores_moved(case.recorded, case.observed, count))


def _doubted(found: search.SearchFinding, doubt: str) -> search.SearchFinding:
    """Return what the reference proves if something else has changed, too, which may be why the search differs."""
    if found.cause != "search" or found.rules:
        return found
    return replace(found, cause=None, sentence=f"{found.sentence}; {doubt}, too, so the library may not be the reason")


def _beside_the_configuration(case: GenerationCase, found: search.SearchFinding) -> search.SearchFinding:
    """Return what the reference proves if the checkpoint's configuration differs: it can turn on logits processors."""
    if case.same("config") is not False or found.tie:
        return found
    if found.cause is None and not found.rules:
        named = of_checkpoint(case, "config")
        return replace(found, cause=named.cause, sentence=named.sentence)
    return _doubted(found, "the checkpoint's configuration differs")


def _unrecorded(observed: GenerationRecord) -> Iterator[Evidence]:
    """Yield the logits processors that were on although the test did not ask for them: no snapshot keeps those."""
    processors = None if observed.live is None else observed.live.processors
    names = [name for name in processors or () if name not in observed.effective]
    if names:
        yield Evidence(f"active now although the test did not ask for it, so it is in no snapshot: {', '.join(names)}")


def _beside_the_scores(case: GenerationCase, found: Explanation) -> Explanation:
    """Withdraw a cause of other numbers that cannot also have moved the score of a beam.

    A score is a sum over the tokens, divided by a power of their number. Penalties multiply it.
    """
    if found.cause not in ("dtype", "attention", "backend"):
        return found
    pairs = zip(case.recorded.steps, case.observed.steps, strict=False)
    drift = largest([abs(before.log_probability - now.log_probability) for before, now in pairs if before.id == now.id])
    least = max(drift, noise_floor("float32", same_engine=True))
    for number, (before, now) in enumerate(zip(case.recorded.beams, case.observed.beams, strict=False), start=1):
        moved = abs_diff(before.score, now.score)
        if before.ids == now.ids and moved > 10 * least * len(now.ids):
            sentence = (
                f"the score of beam {number} moved by {moved:.2g}, which a movement of the output's log-probabilities "
                f"by at most {drift:.2g} cannot explain; something else changed it, or its file was edited"
            )
            return replace(found, cause=None, sentence=sentence, evidence=(Evidence(found.sentence), *found.evidence))
    return found


EXPLAINER = GenerationExplainer()
