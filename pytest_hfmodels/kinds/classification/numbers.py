"""Why a classifier's numbers differ: the loss alone, the word that it reads, the batch, or the forward pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_hfmodels.explain.ablation import DriftProbe, Measured, ablate, not_separated
from pytest_hfmodels.explain.forward_pass import from_there_on, largest, measured, where
from pytest_hfmodels.kinds.evidence import fingerprint
from pytest_hfmodels.kinds.explanation import Ablation, Evidence
from pytest_hfmodels.reference import Rules, classifier_loss, pooled_positions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds import ClassificationRecord
    from pytest_hfmodels.kinds.evidence import LiveBatch
    from pytest_hfmodels.kinds.tolerance import Tolerance

# Which word each release's classifier reads, for a reader.
_POOLING = {
    "count": "the one at the number of words that are no padding (before 4.32)",
    "first-padding": "the one before the first padding (4.32 to 4.48)",
    "right-most": "the right-most that is no padding (from 4.49 on)",
}


@dataclass(frozen=True)
class Answer:
    """A cause, or None; a sentence; the part of the model; and the rules of upstream's that account for it."""

    cause: str | None
    sentence: str
    block: str | None = None
    rules: tuple[str, ...] = ()


def logits_moved(recorded: ClassificationRecord, logits: Any) -> float:
    """Return how far logits (B, labels) are from the recorded ones."""
    return largest(
        [
            abs(before - float(now))
            for row, here in zip(recorded.inputs, logits, strict=True)
            for before, now in zip(row.logits, here, strict=True)
        ]
    )


def movement(moved: float, recorded: ClassificationRecord, live: LiveBatch, passes: Passes, floor: float) -> DriftProbe:
    """Return logits that moved, for ablations over the same batch.

    Args:
        moved: by how much.
        recorded: from the snapshot.
        live: the batch.
        passes: the model.
        floor: the noise floor.
    """

    def measure(loaded: LoadedModel) -> Measured:
        seen = passes.classify(live.ids, live.mask, None, loaded)
        return Measured(logits_moved(recorded, seen.logits), fingerprint(seen.hidden_states, live.mask))

    return DriftProbe(moved, floor, measure)


def explain_numbers(
    recorded: ClassificationRecord,
    observed: ClassificationRecord,
    passes: Passes,
    floor: float,
    tolerance: Tolerance,
) -> tuple[Answer, list[Evidence], list[Ablation]]:
    """Explain why logits or a loss differ from the recorded ones although texts and settings are the same.

    Args:
        recorded: from the snapshot.
        observed: from the model.
        passes: the model.
        floor: the noise floor.
        tolerance: what the test allows.
    """
    live = observed.live
    assert live is not None, "the caller asks only if the model is in memory"
    moved = logits_moved(recorded, observed.logits)
    evidence = [
        Evidence(
            f"the logits moved by at most {moved:.2g}: {measured(moved, floor, tolerance)}",
            {"drift": moved, "noise_floor": floor, "tolerance": tolerance.absolute},
        )
    ]
    if moved <= floor and recorded.loss is not None and observed.loss is not None:
        apart = abs(recorded.loss.value - observed.loss.value)
        if apart > max(floor, moved):
            evidence += _loss(recorded, observed)
            return (
                Answer("forward", "the logits are as recorded, and the loss made of them is another", "loss"),
                evidence,
                [],
            )

    pooled = _pooling(recorded, observed, live, passes, floor) if moved > floor else None
    if pooled is not None:
        evidence.append(pooled[1])
        return Answer("forward", pooled[0], "pooling", ("pooling",)), evidence, []
    found = movement(moved, recorded, live, passes, floor)
    proven = ablate(found, recorded, observed, passes)
    if proven is None and moved > floor:
        proven = not_separated(found, recorded, observed)
    if moved <= floor:
        evidence += found.evidence
        said = "the numbers moved within the noise floor; none of the ablations explains it"
        answer = Answer(None, said) if proven is None else Answer(proven.cause, proven.sentence, None, proven.rules)
        return answer, evidence, found.ablations
    base = found.base if proven is None else None  # the load in which to look for the rest of the movement
    block, told = where(
        recorded.blocks,
        observed.blocks if base is None else base.seen.blocks,
        passes.origin.loaded.model if base is None else base.model.model,
        lambda: passes.classify(live.ids, live.mask, None, None if base is None else base.model),
        floor,
    )
    shares = found.shares_sentence()
    told += [] if shares is None or proven is not None else [Evidence(shares)]
    evidence += [*found.evidence, *told]
    if proven is not None:
        return Answer(proven.cause, proven.sentence, block, proven.rules), evidence, found.ablations
    evidence += _alone(recorded, observed, passes)
    said = found.forward(f"the forward pass differs{from_there_on(block)}")
    return Answer("forward", said, block), evidence, found.ablations


def _loss(recorded: ClassificationRecord, observed: ClassificationRecord) -> Iterator[Evidence]:
    """Yield the reference's loss for the logits and labels."""
    assert recorded.loss is not None
    assert observed.loss is not None
    kind = observed.effective.get("problem_type")
    labels, logits = np.asarray(observed.loss.labels), np.asarray(observed.logits)
    given = None if kind in (None, "inferred") else kind
    value = float(classifier_loss(logits, labels, given))
    yield Evidence(
        f"the reference computes a loss of {value:.6g} from these logits; recorded {recorded.loss.value:.6g}, "
        f"now {observed.loss.value:.6g}",
        {"reference": value, "recorded": recorded.loss.value, "observed": observed.loss.value},
    )


def _pooling(
    recorded: ClassificationRecord,
    observed: ClassificationRecord,
    live: LiveBatch,
    passes: Passes,
    floor: float,
) -> tuple[str, Evidence] | None:
    """Read the words that the recording release read, and check whether that gives the recorded logits."""
    then, now = (record.provenance.versions.get("transformers", "5.23") for record in (recorded, observed))
    before, here = Rules.of(then), Rules.of(now)
    head = getattr(passes.origin.loaded.model, "score", None)
    if before.pooling == here.pooling or not callable(head):
        return None
    mask = np.ones_like(live.ids) if live.mask is None else live.mask
    pad = observed.effective.get("pad_token_id")
    positions = pooled_positions(live.ids, pad, before)
    states = passes.classify(live.ids, live.mask).hidden_states
    if not states:
        return None
    words = states[-1][np.arange(len(positions)), positions]
    tensor = passes.origin.loaded.tensor(words.astype(observed.provenance.dtype))
    logits = np.asarray(head(tensor).tolist())
    elsewhere = positions != pooled_positions(live.ids, pad, here)
    rows = [_apart(row.logits, now) for row, now in zip(recorded.inputs, observed.logits, strict=True)]
    if any((apart > floor) is not bool(other) for apart, other in zip(rows, elsewhere, strict=True)):
        return None  # the texts that moved are not those in which another word is read
    # The output at a padding token is undefined and differs between releases.
    words_read = [row for row in np.flatnonzero(elsewhere) if mask[row, positions[row]]]
    after = [_apart(recorded.inputs[row].logits, logits[row]) for row in words_read]
    if any(apart > floor for apart in after):
        return None
    count = int(elsewhere.sum())
    read = (
        f"; reading the earlier word gives the recorded logits for {len(after)} of them, within {max(after):.2g}"
        if after
        else ""
    )
    padding = f"; for {count - len(after)} the earlier word is padding" if count > len(after) else ""
    return (
        f"the classifier reads a different word: now {_POOLING[here.pooling]}; in {then} {_POOLING[before.pooling]}",
        Evidence(
            f"only the texts moved in which the two words differ ({count}){read}{padding}",
            {"texts": count, "as_recorded": len(after)},
        ),
    )


def _apart(before: Sequence[float], now: Sequence[float]) -> float:
    return largest([abs(a - float(b)) for a, b in zip(before, now, strict=True)])


def _alone(recorded: ClassificationRecord, observed: ClassificationRecord, passes: Passes) -> Iterator[Evidence]:
    """Yield whether the text that moved most says what was recorded once it is alone, without padding."""
    if len(recorded.inputs) < 2:
        return
    moved = [_apart(row.logits, now) for row, now in zip(recorded.inputs, observed.logits, strict=True)]
    worst = max(range(len(moved)), key=lambda row: math.inf if math.isnan(moved[row]) else moved[row])
    ids = np.asarray([recorded.inputs[worst].ids], np.int64)
    logits = passes.classify(ids, None).logits[0]
    after = _apart(recorded.inputs[worst].logits, logits)
    word = "as recorded" if after <= moved[worst] / 4 else "no nearer to it"
    yield Evidence(
        f"text {worst + 1} moved most, by {moved[worst]:.2g}; alone in its batch it is {word}, {after:.2g} away",
        {"input": worst, "before": moved[worst], "after": after},
    )
