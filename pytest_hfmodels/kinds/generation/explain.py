"""Why the output of a generation differs: checkpoint, forward pass, search, decoding."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.checkpoints import same_content
from pytest_hfmodels.engines.settings import effective_settings, given_settings, wanted_length
from pytest_hfmodels.explain import mutations, stages
from pytest_hfmodels.explain.ablation import ALIKE, AblationResult, DriftProbe, Measured, ablate, control, not_separated
from pytest_hfmodels.explain.conclusions import (
    as_evidence_of_ablations,
    checkpoint_finding,
    conclusion,
    of_the_checkpoint,
    within_the_floor,
    without_model,
)
from pytest_hfmodels.explain.explainer import Explainer
from pytest_hfmodels.explain.forward_pass import as_evidence, from_there_on, largest, machine, where
from pytest_hfmodels.explain.near_tie import proof
from pytest_hfmodels.explain.releases import moved_versions
from pytest_hfmodels.explain.stages import Diagnosis, first_stage, of_the_tokenizer
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.kinds.explanation import Evidence, Explanation
from pytest_hfmodels.kinds.generation import search
from pytest_hfmodels.kinds.generation.compare import token_tie
from pytest_hfmodels.kinds.generation.consistency import contradictions
from pytest_hfmodels.kinds.generation.decode_settings import find_setting
from pytest_hfmodels.kinds.generation.teacher import TeacherForcedPass, scores_moved, teacher_forced
from pytest_hfmodels.kinds.near_ties import floor_of
from pytest_hfmodels.kinds.tolerance import noise_floor
from pytest_hfmodels.reference.rules import Rules
from pytest_hfmodels.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds.base import Record
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.evidence import LiveModel
    from pytest_hfmodels.kinds.generation.record import GenerationRecord
    from pytest_hfmodels.kinds.near_ties import Tie


def _output(
    comparison: Comparison, recorded: GenerationRecord, observed: GenerationRecord, passes: Passes | None
) -> Explanation:
    if first_stage(comparison) == "text":
        origin = None if passes is None else passes.origin
        return conclusion(comparison, decoding(recorded, observed, origin))
    return _beside_the_scores(_of_generation(comparison, recorded, observed, passes), recorded, observed)


def _output_ids(record: GenerationRecord) -> Iterator[Sequence[int]]:
    yield record.ids
    yield from (beam.ids for beam in record.beams)


def _is_broken(difference: Difference) -> bool:
    """Return whether a number is not finite; a suppressed token has a processed log-probability of -inf."""
    if difference.what == "margin":
        return False
    suppressed = difference.what == "processed log-probability" and difference.recorded == -math.inf
    return not (math.isfinite(difference.recorded) or suppressed)


def _is_given(difference: Difference, asked: Mapping[str, Any] | None, observed: GenerationRecord) -> bool:
    """Return whether the test asks for the observed value; lengths may be given in new tokens."""
    if asked is None or stages.is_of_the_test(difference.what):
        return stages.is_of_the_test(difference.what)
    config = SimpleNamespace(**given_settings(asked))
    prompt = len(observed.prompt.ids)
    if difference.what == "max_length":
        config.max_length = wanted_length(asked, prompt)
    given = difference.what in vars(config) or (difference.what == "min_length" and "min_new_tokens" in vars(config))
    return given and effective_settings(config, {}, prompt)[difference.what] == difference.observed


# Their defaults are the same in every release that the plugin runs with.
_CONSTANT = (
    *("do_sample", "min_length", "num_beams", "num_return_sequences"),
    *("length_penalty", "repetition_penalty", "no_repeat_ngram_size"),
)


def _settings(
    recorded: GenerationRecord, observed: GenerationRecord, names: Sequence[str], evidence: list[Evidence]
) -> Diagnosis:
    """Blame the release's defaults, if the release has changed and a default can have."""
    told = ", ".join(names)
    if "transformers" not in moved_versions(recorded, observed):  # then the defaults are the same
        return Diagnosis(None, f"{told} differs from the recorded value, {stages.NO_RELEASE}", evidence)
    constant = [name for name in names if name in _CONSTANT]
    if constant:
        said = (
            f"{', '.join(constant)} differs from the recorded value, and its default is the same in all releases: the "
            "test no longer gives the recorded value, the release ignores it, or the file was edited"
        )
        return Diagnosis(None, said, evidence)
    rule = _length_rule(recorded, observed, names)
    rules = ("default_length_counts_prompt",) if rule else ()
    return Diagnosis("generation-defaults", f"the release's defaults have changed: {told}{rule}", evidence, rules)


def _length_rule(recorded: Record, observed: Record, names: Sequence[str]) -> str:
    sides = [Rules.of(record.provenance.versions.get("transformers", "5.23")) for record in (recorded, observed)]
    before, now = (rules.default_length_counts_prompt for rules in sides)
    if "max_length" not in names or before == now:
        return ""
    words = {True: "20 tokens are the whole", False: "20 tokens are added to the prompt"}
    return f" (without a length, {words[now]}; before, {words[before]}; changed in 4.47)"


def decoding(recorded: GenerationRecord, observed: GenerationRecord, origin: LiveModel | None = None) -> Diagnosis:
    """Explain a different text of the same ids; arguments as for `prompt`."""
    evidence = list(_decoded(recorded, observed))
    if recorded.checkpoint.tokenizer != observed.checkpoint.tokenizer:
        return Diagnosis(
            "checkpoint:tokenizer",
            "the checkpoint's tokenizer files have changed and decode the tokens differently",
            evidence,
        )
    named = None if origin is None else find_setting(recorded, observed, origin.tokenizer)
    sentence = "the same token ids are decoded to a different text" if named is None else named.sentence
    ids, skip = [*observed.prompt.ids, *observed.ids], bool(observed.effective.get("skip_special_tokens"))
    proven = mutations.is_proven_by_fresh_tokenizer(
        origin,
        lambda tokenizer: tokenizer.decode(ids, skip_special_tokens=skip),
        recorded=recorded.text,
        observed=observed.text,
    )
    found = of_the_tokenizer("decoding", sentence, evidence, recorded, observed, origin, proven=proven)
    if found.cause != "decoding":
        return found
    if named is None:
        return replace(found, package="tokenizers")
    return replace(found, package="transformers", rules=() if named.rule is None else (named.rule,))


def _decoded(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Evidence]:
    for position, (before, now) in enumerate(zip(recorded.steps, observed.steps, strict=False)):
        if before.text != now.text:
            yield Evidence(
                f"token {position + 1} (id {before.id}) was spelt {before.text!r}, and is {now.text!r}",
                {"position": position, "id": before.id},
            )
            return
    yield Evidence("each token alone is spelt as recorded: they are put together otherwise")


def _of_generation(
    comparison: Comparison, recorded: GenerationRecord, observed: GenerationRecord, passes: Passes | None
) -> Explanation:
    """Explain other numbers or ids after the same prompt with the same settings."""
    tie = _tie(recorded, observed)
    close = [] if tie is None else [proof(tie)]
    if passes is None:
        return without_model(comparison, recorded, observed, close)
    floor = floor_of(recorded, observed)
    split = first_divergence(recorded.ids, observed.ids)
    teacher = _teacher(recorded, observed, passes, split)
    moved = teacher.moved(recorded)
    texts = [step.text for step in recorded.steps]
    evidence = [as_evidence(moved, floor, comparison.tolerance, texts)] if moved else []
    drift = largest(moved)
    part = stages.checkpoint_part(recorded, observed)
    if not drift <= floor:
        if comparison.verdict is Verdict.NEAR_TIE:  # what follows the tie says that more than rounding is at work
            comparison, close = replace(comparison, verdict=Verdict.CHANGED), []
        if part is not None:
            found_again = _movement(drift, recorded, observed, passes)
            return of_the_checkpoint(comparison, part, found_again, recorded, observed, passes, [*evidence, *close])
        return _forward(comparison, recorded, observed, passes, teacher, drift, [*evidence, *close])
    shared = min(len(recorded.ids), len(observed.ids)) if split is None else split + 1
    generating = largest(scores_moved(recorded, observed, min(shared, len(observed.ids), len(recorded.ids))))
    if comparison.verdict is Verdict.NEAR_TIE or (
        comparison.verdict is Verdict.DRIFT and generating <= floor and not _beam_scores(comparison)
    ):
        return _small(comparison, recorded, observed, passes, drift, [*close, *evidence])
    if comparison.verdict is Verdict.DRIFT and recorded.provenance.dtype != observed.provenance.dtype:
        small = _small(comparison, recorded, observed, passes, drift, [*close, *evidence])
        if small.cause is not None:  # the coarser dtype's noise floor lies above the finer one's tolerance
            return small
    in_test = _in_memory(comparison, recorded, observed, passes, drift, [*evidence, *close])
    if in_test is not None:
        return in_test
    own = max(floor, noise_floor(observed.provenance.dtype, same_engine=True))  # of two runs today
    ask = search.processed_otherwise if generating > 2 * own else search.look
    found = ask(recorded, observed, passes, teacher, own, generating)
    changes = [*mutations.of_the_model(passes.origin), *mutations.of_unrecorded_settings(passes.origin)]
    if changes and mutations.stands_alone(recorded, observed):
        return Explanation(comparison.verdict, "test", mutations.sentence(changes), (*evidence, *close))
    evidence = [*found.evidence, *_unrecorded(observed), *evidence, *close]
    if changes:
        evidence.insert(0, mutations.as_evidence(changes))
        found = _beside_a_mutation(found)
    found = _beside_the_configuration(found, recorded, observed)
    if found.tie or (found.alike and found.cause is None):
        small = _small(comparison, recorded, observed, passes, drift, evidence)
        return small if small.cause is not None else replace(small, sentence=found.sentence)
    if found.cause is None and part == "weights" and drift > 0:
        return conclusion(comparison, checkpoint_finding(part, evidence, observed))
    return Explanation(comparison.verdict, found.cause, found.sentence, tuple(evidence), rules=found.rules)


def _beside_a_mutation(found: search.Found) -> search.Found:
    """Return what the reference proves if the model in memory was changed: that may be why the search differs."""
    if found.cause != "search" or found.rules:
        return found
    said = f"{found.sentence}; the model in memory has changed, too, so the library may not be the reason"
    return replace(found, cause=None, sentence=said)


def _beside_the_configuration(found: search.Found, recorded: Record, observed: Record) -> search.Found:
    """Return what the reference proves if the checkpoint's configuration differs: it can turn on logits processors."""
    same = same_content(recorded.checkpoint.config, observed.checkpoint.config)
    if same is not False or found.tie or found.rules or found.cause not in (None, "search"):
        return found
    if found.cause is None:
        named = checkpoint_finding("config", [], observed)
        return replace(found, cause=named.cause, sentence=named.sentence)
    said = f"{found.sentence}; the checkpoint's configuration differs, too, so the library may not be the reason"
    return replace(found, cause=None, sentence=said)


def _unrecorded(observed: GenerationRecord) -> Iterator[Evidence]:
    """Yield the logits processors of which a snapshot keeps nothing."""
    names = search.unrecorded_settings(observed)
    if names:
        yield Evidence(f"on in this run, but not by the test's own request, so not in a snapshot: {', '.join(names)}")


def _in_memory(
    comparison: Comparison,
    recorded: GenerationRecord,
    observed: GenerationRecord,
    passes: Passes,
    drift: float,
    evidence: list[Evidence],
) -> Explanation | None:
    """Explain small movements next to different tokens by a change in memory; None if there was no change."""
    if drift <= ALIKE:  # a fresh load cannot come closer
        return None
    found = _movement(drift, recorded, observed, passes)
    proven = control(found, recorded, observed, passes.origin)
    if proven is None or not any(swap.returns for swap in found.ablations):
        return None
    evidence = [*as_evidence_of_ablations(found.ablations), *evidence, *found.evidence]
    return Explanation(comparison.verdict, proven.cause, proven.sentence, tuple(evidence), tuple(found.ablations))


def _teacher(
    recorded: GenerationRecord, observed: GenerationRecord, passes: Passes, split: int | None
) -> TeacherForcedPass:
    """Return what the model says of the recorded tokens; where they are today's too, the test has asked already."""
    if split is None and observed.live is not None:
        return TeacherForcedPass(observed.live.logits, observed.blocks)
    return teacher_forced(passes, recorded)


def _forward(
    comparison: Comparison,
    recorded: GenerationRecord,
    observed: GenerationRecord,
    passes: Passes,
    teacher: TeacherForcedPass,
    drift: float,
    evidence: list[Evidence],
) -> Explanation:
    """Explain numbers that moved beyond the noise floor."""
    found = _movement(drift, recorded, observed, passes)
    proven = ablate(found, recorded, observed, passes) or not_separated(found, recorded, observed)
    base = found.base if proven is None else None  # the load in which to look for the rest of the movement
    block, told = where(
        recorded.blocks,
        teacher.blocks if base is None else base.seen.blocks,
        passes.origin.loaded.model if base is None else base.model.model,
        lambda: teacher_forced(passes, recorded, None if base is None else base.model),
        floor_of(recorded, recorded),
    )
    if proven is None and base is None and recorded.provenance.dtype != observed.provenance.dtype:
        block, told = (
            None,
            [Evidence("the block that differs is unknown: in another dtype every block rounds differently")],
        )
    shares = found.shares_sentence()
    told += [] if shares is None or proven is not None else [Evidence(shares)]
    evidence = [evidence[0], *told, *as_evidence_of_ablations(found.ablations), *evidence[1:], *found.evidence]
    said = proven or AblationResult("forward", found.forward(f"the forward pass differs{from_there_on(block)}"))
    return Explanation(
        comparison.verdict, said.cause, said.sentence, tuple(evidence), tuple(found.ablations), block, said.rules
    )


def _small(
    comparison: Comparison,
    recorded: GenerationRecord,
    observed: GenerationRecord,
    passes: Passes,
    drift: float,
    evidence: list[Evidence],
) -> Explanation:
    """Explain numbers that moved within the noise floor by what changed around the model."""
    found = _movement(drift, recorded, observed, passes)
    then, now = recorded.provenance, observed.provenance
    other = then.dtype != now.dtype or then.attention != now.attention or bool(list(machine(recorded, observed)))
    proven = ablate(found, recorded, observed, passes, surroundings=other)
    evidence = [*evidence, *as_evidence_of_ablations(found.ablations), *found.evidence]
    if proven is None:
        near = comparison.verdict is Verdict.NEAR_TIE
        sentence = (
            "rounding chose between two equally good tokens; it is unknown why it rounded differently"
            if near
            else within_the_floor(comparison, found.floor)
        )
        return Explanation(comparison.verdict, None, sentence, tuple(evidence), tuple(found.ablations))
    return Explanation(
        comparison.verdict, proven.cause, proven.sentence, tuple(evidence), tuple(found.ablations), rules=proven.rules
    )


def _movement(drift: float, recorded: GenerationRecord, observed: GenerationRecord, passes: Passes) -> DriftProbe:
    def measure(other: LoadedModel) -> Measured:
        teacher = teacher_forced(passes, recorded, other)
        return Measured(largest(teacher.moved(recorded)), teacher.blocks)

    return DriftProbe(drift, floor_of(recorded, observed), measure)


def _beam_scores(comparison: Comparison) -> bool:
    return any(difference.what == "beam score" for difference in comparison.differences)


def _beside_the_scores(found: Explanation, recorded: GenerationRecord, observed: GenerationRecord) -> Explanation:
    """Withdraw a cause of other numbers that cannot also have moved the score of a beam.

    A score is a sum over the tokens, divided by a power of their number. Penalties multiply it.
    """
    if found.cause not in ("dtype", "attention", "backend"):
        return found
    pairs = zip(recorded.steps, observed.steps, strict=False)
    drift = largest([abs(before.log_probability - now.log_probability) for before, now in pairs if before.id == now.id])
    for number, (before, now) in enumerate(zip(recorded.beams, observed.beams, strict=False), start=1):
        moved = abs(before.score - now.score)
        if before.ids == now.ids and moved > 10 * max(drift, noise_floor("float32", same_engine=True)) * len(now.ids):
            sentence = (
                f"the score of beam {number} moved by {moved:.2g}, which a movement of the output's log-probabilities "
                f"by at most {drift:.2g} cannot explain; something else changed it, or its file was edited"
            )
            return replace(found, cause=None, sentence=sentence, evidence=(Evidence(found.sentence), *found.evidence))
    return found


def _tie(recorded: GenerationRecord, observed: GenerationRecord) -> Tie | None:
    split = first_divergence(recorded.ids, observed.ids)
    return None if split is None else token_tie(recorded, observed, split)


EXPLAINER: Explainer[GenerationRecord] = Explainer(
    output=_output,
    output_ids=_output_ids,
    is_given=_is_given,
    settings=_settings,
    is_broken=_is_broken,
    contradictions=contradictions,
)
