"""`explain`: the layers in causal order, until one of them names the cause."""

from __future__ import annotations

import math
import sys
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_hfmodels.checkpoints import same_content
from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.explain import classifier, in_memory, layers, search
from pytest_hfmodels.explain.ablation import (
    ALIKE,
    AblationResult,
    Measured,
    Movement,
    ablate,
    control,
    not_separated,
    with_recorded_overrides,
)
from pytest_hfmodels.explain.config_overrides import changed_overrides, overrides_sentence
from pytest_hfmodels.explain.consistency import contradictions
from pytest_hfmodels.explain.forward_pass import (
    Teacher,
    as_evidence,
    from_there_on,
    largest,
    machine,
    scores_moved,
    teacher_forced,
    where,
)
from pytest_hfmodels.explain.near_tie import decision, proof
from pytest_hfmodels.explain.passes import Passes
from pytest_hfmodels.explain.releases import bisections
from pytest_hfmodels.kinds import ClassificationRecord, GenerationRecord
from pytest_hfmodels.kinds.comparison import Verdict, first_divergence
from pytest_hfmodels.kinds.explanation import Evidence, Explanation, Swap
from pytest_hfmodels.kinds.near_ties import floor_of
from pytest_hfmodels.kinds.tolerance import noise_floor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.evidence import MadeBy

_NO_RELEASE = (
    "test",
    "checkpoint:tokenizer",
    "checkpoint:config",
    "checkpoint:weights",
    "dtype",
    "attention",
    "settings",
)


def explain(comparison: Comparison, recorded: Record, observed: Record, *, test: str) -> Explanation:
    """Say why two records differ.

    Costs at most eight forward passes and one `generate` of the model that made `observed`, if that is still in memory.
    Never raises: what goes wrong here becomes a part of the answer.

    Args:
        comparison: of the two, with another verdict than `same`.
        recorded: from the snapshot.
        observed: from the test.
        test: its node id, for commands.
    """
    try:
        with _in_silence():
            found = _explained(comparison, recorded, observed)
            found = replace(found, evidence=(*contradictions(recorded, observed), *found.evidence))
    except (KeyboardInterrupt, GeneratorExit, pytest.exit.Exception):
        raise
    except BaseException as error:  # pytest.skip and SystemExit would change the verdict, too
        said = str(error).strip().splitlines()
        found = Explanation(
            comparison.verdict,
            None,
            f"it cannot be told: explaining it failed with {': '.join([type(error).__name__, *said[:1]]):.200}",
        )
    if found.cause in _NO_RELEASE or found.rules:  # the release is known, or none of them is the reason
        return found
    first = observed.provenance.engine if found.cause == "backend" else found.package
    return replace(found, suggests=tuple(bisections(recorded, observed, test, first=first)))


def _explained(comparison: Comparison, recorded: Record, observed: Record) -> Explanation:
    layer = layers.first_layer(comparison)
    made_by = _made_by(observed)
    origin = None if made_by is None else made_by.origin
    if layer == "kind":
        return _of(comparison, layers.kind(comparison))
    outside = None if origin is None else layers.outside_vocabulary(recorded, origin)
    if layer == "prompt":
        if outside is not None and recorded.checkpoint.tokenizer == observed.checkpoint.tokenizer:
            return Explanation(comparison.verdict, None, outside)
        return _of(comparison, layers.prompt(recorded, observed, origin))
    if layer == "settings":
        asked = None if made_by is None else made_by.settings
        return _of(comparison, layers.settings(comparison, recorded, observed, asked, origin))
    part = layers.checkpoint_part(recorded, observed)
    if outside is not None:  # the model cannot be run over the recorded tokens
        if part is not None:
            return _of(comparison, _checkpoint(part, [Evidence(outside)], observed))
        return Explanation(comparison.verdict, None, outside)
    broken = _not_finite(comparison, recorded)
    if broken is not None:
        return Explanation(comparison.verdict, None, _differs(broken))
    passes = None if made_by is None or origin is None else Passes(origin, made_by.settings)
    if isinstance(recorded, ClassificationRecord) and isinstance(observed, ClassificationRecord):
        return _of_classifier(comparison, recorded, observed, passes)
    assert isinstance(recorded, GenerationRecord)
    assert isinstance(observed, GenerationRecord)
    if layer == "text":
        return _of(comparison, layers.decoding(recorded, observed, origin))
    return _beside_the_scores(_of_generation(comparison, recorded, observed, passes), recorded, observed)


def _of(comparison: Comparison, finding: layers.Finding) -> Explanation:
    return Explanation(
        comparison.verdict,
        finding.cause,
        finding.sentence,
        tuple(finding.evidence),
        rules=finding.rules,
        package=finding.package,
    )


def _of_generation(
    comparison: Comparison, recorded: GenerationRecord, observed: GenerationRecord, passes: Passes | None
) -> Explanation:
    """Explain other numbers or ids after the same prompt with the same settings."""
    tie = decision(recorded, observed)
    close = [] if tie is None else [proof(tie)]
    if passes is None:
        return _without_model(comparison, recorded, observed, close)
    floor = floor_of(recorded, observed)
    split = first_divergence(recorded.ids, observed.ids)
    teacher = _teacher(recorded, observed, passes, split)
    moved = teacher.moved(recorded)
    texts = [step.text for step in recorded.steps]
    evidence = [as_evidence(moved, floor, comparison.tolerance, texts)] if moved else []
    drift = largest(moved)
    part = layers.checkpoint_part(recorded, observed)
    if not drift <= floor:
        if comparison.verdict is Verdict.NEAR_TIE:  # what follows the tie says that more than rounding is at work
            comparison, close = replace(comparison, verdict=Verdict.CHANGED), []
        if part is not None:
            found_again = _movement(drift, recorded, observed, passes)
            return _of_the_checkpoint(comparison, part, found_again, recorded, observed, passes, [*evidence, *close])
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
    changes = [*in_memory.of_the_model(passes.origin), *in_memory.of_unrecorded_settings(passes.origin)]
    if changes and in_memory.stands_alone(recorded, observed):
        return Explanation(comparison.verdict, "test", in_memory.sentence(changes), (*evidence, *close))
    evidence = [*found.evidence, *_unrecorded(observed), *evidence, *close]
    if changes:
        evidence.insert(0, in_memory.as_evidence(changes))
    found = _beside_the_configuration(found, recorded, observed)
    if found.tie or (found.alike and found.cause is None):
        small = _small(comparison, recorded, observed, passes, drift, evidence)
        return small if small.cause is not None else replace(small, sentence=found.sentence)
    if found.cause is None and part == "weights" and drift > 0:
        return _of(comparison, _checkpoint(part, evidence, observed))
    return Explanation(comparison.verdict, found.cause, found.sentence, tuple(evidence), rules=found.rules)


def _beside_the_configuration(found: search.Found, recorded: Record, observed: Record) -> search.Found:
    """Return what the reference proves if the checkpoint's configuration differs: it can turn on logits processors."""
    same = same_content(recorded.checkpoint.config, observed.checkpoint.config)
    if same is not False or found.tie or found.rules or found.cause not in (None, "search"):
        return found
    if found.cause is None:
        named = _checkpoint("config", [], observed)
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
    if proven is None or not any(swap.returns for swap in found.swapped):
        return None
    evidence = [*_shown(found.swapped), *evidence, *found.evidence]
    return Explanation(comparison.verdict, proven.cause, proven.sentence, tuple(evidence), tuple(found.swapped))


def _teacher(recorded: GenerationRecord, observed: GenerationRecord, passes: Passes, split: int | None) -> Teacher:
    """Return what the model says of the recorded tokens; where they are today's too, the test has asked already."""
    if split is None and observed.live is not None:
        return Teacher(observed.live.logits, observed.blocks)
    return teacher_forced(passes, recorded)


def _forward(
    comparison: Comparison,
    recorded: GenerationRecord,
    observed: GenerationRecord,
    passes: Passes,
    teacher: Teacher,
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
    evidence = [evidence[0], *told, *_shown(found.swapped), *evidence[1:], *found.evidence]
    said = proven or AblationResult("forward", found.forward(f"the forward pass differs{from_there_on(block)}"))
    return Explanation(
        comparison.verdict, said.cause, said.sentence, tuple(evidence), tuple(found.swapped), block, said.rules
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
    evidence = [*evidence, *_shown(found.swapped), *found.evidence]
    if proven is None:
        near = comparison.verdict is Verdict.NEAR_TIE
        sentence = (
            "rounding chose between two equally good tokens; it is unknown why it rounded differently"
            if near
            else within_the_floor(comparison, found.floor)
        )
        return Explanation(comparison.verdict, None, sentence, tuple(evidence), tuple(found.swapped))
    return Explanation(
        comparison.verdict, proven.cause, proven.sentence, tuple(evidence), tuple(found.swapped), rules=proven.rules
    )


def _not_finite(comparison: Comparison, recorded: Record) -> Difference | None:
    """Return the first recorded number that is not finite although today's is, because no movement can be computed.

    A suppressed token has a processed log-probability of -inf, and a margin that need not be finite.
    """
    generation = isinstance(recorded, GenerationRecord)
    for found in comparison.differences:
        if found.layer != "numbers" or math.isfinite(found.recorded) or not math.isfinite(found.observed):
            continue
        suppressed = found.what == "processed log-probability" and found.recorded == -math.inf
        if not suppressed and not (generation and found.what == "margin"):
            return found
    return None


def _beyond(comparison: Comparison, most: float) -> Difference | None:
    """Return the first number that moved by more than `most`."""
    for found in comparison.differences:
        if found.layer == "numbers" and not abs(found.recorded - found.observed) <= most:
            return found
    return None


def _differs(found: Difference) -> str:
    """Return a sentence that only names the number that differs."""
    broken = "" if math.isfinite(found.recorded) else ", which is not a finite number"
    recorded, observed = f"{found.recorded:.6g}", f"{found.observed:.6g}"
    return f"the {found.what} differs: the file records {recorded}{broken}; now it is {observed}"


def within_the_floor(comparison: Comparison, floor: float) -> str:
    """Return the sentence for numbers that moved less than the noise floor but more than the test's tolerance."""
    beyond = _beyond(comparison, 2 * floor)  # a margin is the difference of two numbers
    if beyond is not None:
        return _differs(beyond)
    return (
        f"the numbers moved beyond this test's tolerance of {comparison.tolerance.absolute:.2g} but within the noise "
        f"floor of {floor:.2g}; none of the ablations explains it"
    )


def _of_classifier(
    comparison: Comparison, recorded: ClassificationRecord, observed: ClassificationRecord, passes: Passes | None
) -> Explanation:
    """Explain other numbers or labels of the same texts with the same settings."""
    tie = decision(recorded, observed)
    close = [] if tie is None else [proof(tie)]
    if any(
        len(before.logits) != len(now.logits) for before, now in zip(recorded.inputs, observed.inputs, strict=False)
    ):
        return _of(
            comparison, layers.Finding("forward", "the classifier gives another number of logits than recorded", close)
        )
    floor = floor_of(recorded, observed)
    moved = classifier.logits_moved(recorded, observed.logits)
    part = layers.checkpoint_part(recorded, observed)
    if (
        moved <= floor
        and any(difference.layer == "labels" for difference in comparison.differences)
        and (tie is None or not tie.proven)
    ):
        return _of(comparison, _reading(recorded, observed, part, close))
    if part is not None and moved > floor:
        told = Evidence(f"the logits moved by at most {moved:.2g} (noise floor {floor:.2g})", {"drift": moved})
        if passes is None or observed.live is None:
            return _of(comparison, _checkpoint(part, [told, *close], observed))
        found = classifier.movement(moved, recorded, observed.live, passes, floor)
        return _of_the_checkpoint(comparison, part, found, recorded, observed, passes, [told, *close])
    if passes is None or observed.live is None:
        return _without_model(comparison, recorded, observed, close)
    beyond = _beyond(comparison, 2 * floor)
    if (
        moved <= floor and beyond is not None and beyond.what == "margin"
    ):  # the recorded margin contradicts the recorded logits
        told = Evidence(f"the logits moved by at most {moved:.2g} (noise floor {floor:.2g})", {"drift": moved})
        return Explanation(comparison.verdict, None, _differs(beyond), (told, *close))
    answer, evidence, swapped = classifier.explain_numbers(recorded, observed, passes, floor, comparison.tolerance)
    cause, sentence, block = answer.cause, answer.sentence, answer.block
    if comparison.verdict is Verdict.DRIFT and cause is None and moved <= floor:
        sentence = within_the_floor(comparison, floor)
    if comparison.verdict is Verdict.NEAR_TIE and cause is None:
        sentence = "rounding chose between two equally good readings; it is unknown why it rounded differently"
    evidence = [
        *(close if comparison.verdict is Verdict.NEAR_TIE else []),
        *evidence[:1],
        *_shown(swapped),
        *evidence[1:],
    ]
    if comparison.verdict is not Verdict.NEAR_TIE:
        evidence += close
    return Explanation(comparison.verdict, cause, sentence, tuple(evidence), tuple(swapped), block, answer.rules)


def _reading(
    recorded: ClassificationRecord, observed: ClassificationRecord, part: str | None, evidence: list[Evidence]
) -> layers.Finding:
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
        return layers.Finding("test", overrides_sentence(recorded, observed, overridden), said)
    if part == "config":
        sentence = "the checkpoint's configuration is another, and names the labels otherwise (id2label)"
        return layers.Finding("checkpoint:config", sentence, said)
    made_by = _made_by(observed)
    changes = in_memory.of_settings(None if made_by is None else made_by.origin, ["id2label"])
    if changes:
        return layers.Finding("test", in_memory.sentence(changes), said)
    return layers.Finding("decoding", "the same logits give other labels", said)


def _of_the_checkpoint(
    comparison: Comparison,
    part: str,
    found: Movement,
    recorded: Record,
    observed: Record,
    passes: Passes,
    evidence: list[Evidence],
) -> Explanation:
    """Blame another checkpoint, unless loading it again reproduces the recorded numbers: then the test changed it."""
    proven = control(found, recorded, observed, passes.origin) or with_recorded_overrides(
        found, recorded, observed, passes.origin
    )
    evidence = [*evidence, *_shown(found.swapped), *found.evidence]
    swapped = tuple(found.swapped)
    if proven is not None and any(swap.returns for swap in swapped):
        return Explanation(comparison.verdict, proven.cause, proven.sentence, tuple(evidence), swapped)
    finding = _checkpoint(part, evidence, observed)
    return replace(_of(comparison, replace(finding, sentence=found.forward(finding.sentence))), swapped=swapped)


def _checkpoint(part: str, evidence: list[Evidence], observed: Record) -> layers.Finding:
    if part == "config" and observed.checkpoint.origin == "adopted":
        sentence = "the adopted model's configuration differs from the recorded one; a snapshot keeps only its digest"
        return layers.Finding("checkpoint:config", f"{sentence}, so the field is unknown", evidence)
    words = {
        "weights": "weights differ from the recorded ones (another digest)",
        "config": "config.json or generation_config.json differs from the recorded one; a snapshot keeps only their "
        "digest, so the field is unknown: `git diff` of the checkpoint shows it",
    }
    return layers.Finding(f"checkpoint:{part}", f"the checkpoint's {words[part]}", evidence)


def _without_model(comparison: Comparison, recorded: Record, observed: Record, close: list[Evidence]) -> Explanation:
    """Explain from the evidence alone, because the model that made the record is no longer in memory."""
    part = layers.checkpoint_part(recorded, observed)
    if part is not None and comparison.drift > 0:
        return _of(comparison, _checkpoint(part, close, observed))
    sentence = "the model that made this output is no longer in memory, so the plugin cannot find the reason"
    if comparison.verdict is Verdict.NEAR_TIE:
        sentence = "rounding chose between two equally good tokens; it is unknown why it rounded differently"
    return Explanation(comparison.verdict, None, sentence, tuple(close))


def _shown(swapped: list[Swap]) -> Iterator[Evidence]:
    for swap in swapped:
        before, after = f"{swap.before:.2g}", f"{swap.after:.2g}"
        told = f"the movement stays at {after}" if before == after else f"the movement is {after} instead of {before}"
        yield Evidence(
            f"with {swap.what} {told}",
            {"before": swap.before, "after": swap.after},
        )


def _movement(drift: float, recorded: GenerationRecord, observed: GenerationRecord, passes: Passes) -> Movement:
    def measure(other: LoadedModel) -> Measured:
        teacher = teacher_forced(passes, recorded, other)
        return Measured(largest(teacher.moved(recorded)), teacher.blocks)

    return Movement(drift, floor_of(recorded, observed), measure)


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


def _made_by(record: Record) -> MadeBy | None:
    return None if record.live is None else record.live.made_by


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keep upstream's output and warnings during the explanation out of the test's own."""
    with PROCESS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with upstream.quiet() if "transformers" in sys.modules else nullcontext():
            yield
