"""`compare(recorded, observed)`: pure, so that the same two records always get the same verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.records import ClassificationRecord, GenerationRecord
from pytest_hfmodels.snapshots.ties import label_ties, token_tie

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.records import Record
    from pytest_hfmodels.snapshots.tolerance import Tolerance


class Verdict(StrEnum):
    """What a comparison says; everything but `same` fails a test."""

    SAME = "same"
    DRIFT = "drift"
    NEAR_TIE = "near-tie"
    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Args:
        layer: the stage, in causal order: `kind`, `prompt`, `settings`, `ids`, `beams`, `labels`, `numbers`, `text`.
        what: which part of it, for a reader.
        recorded: the snapshot's value.
        observed: the value now.
        position: index of the generated token, the input or the beam, where it has one.
    """

    layer: str
    what: str
    recorded: Any
    observed: Any
    position: int | None = None


@dataclass(frozen=True)
class Comparison:
    """A verdict, what differs in causal order, and how far numbers moved.

    Args:
        verdict: see `Verdict`.
        differences: the first names the layer that a reader should look at.
        drift: the largest movement of a compared number at positions that have the same prefix, nats or logits.
        tolerance: what was allowed.
        notes: worth saying, failing nothing.
    """

    verdict: Verdict
    differences: tuple[Difference, ...]
    drift: float
    tolerance: Tolerance
    notes: tuple[str, ...] = ()


def compare(recorded: Record, observed: Record, tolerance: Tolerance) -> Comparison:
    """Compare a recorded snapshot with an observed record.

    Exact: prompt ids, effective settings, generated ids, ids of returned beams, labels, text; and the texts of
    equal ids, which may differ in a file that was edited by hand. Within `tolerance`:
    log-probabilities, margins, scores, logits, losses. Evidence (runner-ups, frontiers, fingerprints) is not compared.

    Args:
        recorded: from the file.
        observed: from the engine, or from another file.
        tolerance: for numbers.
    """
    notes = tuple(_checkpoint_notes(recorded, observed))
    if isinstance(recorded, GenerationRecord) and isinstance(observed, GenerationRecord):
        differences, drift = _generation(recorded, observed, tolerance)
        tie = _is_near_tie(recorded, observed, differences)
    elif isinstance(recorded, ClassificationRecord) and isinstance(observed, ClassificationRecord):
        differences, drift = _classification(recorded, observed, tolerance)
        tie = _are_near_ties(recorded, observed, differences)
    else:
        differences, drift, tie = [Difference("kind", "kind of record", _kind(recorded), _kind(observed))], 0.0, False
    return Comparison(_verdict(differences, near_tie=tie), tuple(differences), drift, tolerance, notes)


def first_divergence(recorded: Sequence[int], observed: Sequence[int]) -> int | None:
    """Return the index of the first token that differs (one past the end of the shorter counts), or None."""
    for position, (before, now) in enumerate(zip(recorded, observed, strict=False)):
        if before != now:
            return position
    return None if len(recorded) == len(observed) else min(len(recorded), len(observed))


def _verdict(differences: Sequence[Difference], *, near_tie: bool) -> Verdict:
    if not differences:
        return Verdict.SAME
    if all(difference.layer == "numbers" for difference in differences):
        return Verdict.DRIFT
    return Verdict.NEAR_TIE if near_tie else Verdict.CHANGED


def _generation(
    recorded: GenerationRecord, observed: GenerationRecord, tolerance: Tolerance
) -> tuple[list[Difference], float]:
    found: list[Difference] = []
    if recorded.prompt.ids != observed.prompt.ids:
        position = first_divergence(recorded.prompt.ids, observed.prompt.ids)
        found.append(Difference("prompt", "prompt ids", recorded.prompt.ids, observed.prompt.ids, position))
    elif recorded.prompt.text != observed.prompt.text:
        # A prompt given as ids is decoded. If its text differs, so does the text of the output.
        stage = "prompt" if recorded.text == observed.text else "text"
        found.append(Difference(stage, "prompt text", recorded.prompt.text, observed.prompt.text))
    found += _settings(recorded.effective, observed.effective)
    split = first_divergence(recorded.ids, observed.ids)
    if split is not None:
        found.append(Difference("ids", "generated token", _step(recorded, split), _step(observed, split), split))
    found += _beam_ids(recorded, observed)
    drift, numbers = _numbers(_generation_numbers(recorded, observed, split), tolerance)
    found += numbers
    found += _token_texts(recorded, observed)
    if recorded.text != observed.text:
        found.append(Difference("text", "decoded text", recorded.text, observed.text))
    return found, drift


def _token_texts(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    """Yield the first token and the first beam whose texts differ although the ids are equal."""
    for position, (step, now) in enumerate(zip(recorded.steps, observed.steps, strict=False)):
        if step.id == now.id and step.text != now.text:
            yield Difference("text", f"text of token {position + 1}", step.text, now.text, position)
            break
    for position, (beam, other) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        told = position == 0 and recorded.text != observed.text  # the first beam is the output
        if beam.ids == other.ids and beam.text != other.text and not told:
            yield Difference("text", f"text of beam {position + 1}", beam.text, other.text, position)
            break


def _generation_numbers(
    recorded: GenerationRecord, observed: GenerationRecord, split: int | None
) -> Iterator[tuple[str, int, float, float]]:
    for position in range(len(recorded.steps) if split is None else split):
        before, now = recorded.steps[position], observed.steps[position]
        yield "log-probability", position, before.log_probability, now.log_probability
        yield "processed log-probability", position, before.processed, now.processed
        yield "margin", position, before.margin, now.margin
    for position, (beam, beam_now) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        if beam.ids == beam_now.ids:
            yield "beam score", position, beam.score, beam_now.score


def _beam_ids(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    if len(recorded.beams) != len(observed.beams):
        yield Difference("beams", "number of returned beams", len(recorded.beams), len(observed.beams))
    # The first beam is the sequence whose steps are compared above; if they differ, do not report it again.
    told = recorded.ids != observed.ids
    for position, (beam, now) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        if beam.ids != now.ids and not (told and position == 0):
            yield Difference("beams", "returned beam", beam, now, position)


def _classification(
    recorded: ClassificationRecord, observed: ClassificationRecord, tolerance: Tolerance
) -> tuple[list[Difference], float]:
    found = list(_settings(recorded.effective, observed.effective))
    if len(recorded.inputs) != len(observed.inputs):
        found.append(Difference("prompt", "number of texts", len(recorded.inputs), len(observed.inputs)))
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if before.ids != now.ids:
            found.append(Difference("prompt", f"ids of {now.text!r}", before.ids, now.ids, position))
        elif before.text != now.text:
            found.append(Difference("prompt", "classified text", before.text, now.text, position))
        if len(before.logits) != len(now.logits):
            what = f"number of logits of {now.text!r}"
            found.append(Difference("labels", what, len(before.logits), len(now.logits), position))
        if before.label != now.label:
            found.append(Difference("labels", f"label of {now.text!r}", before.label, now.label, position))
        if before.labels != now.labels:
            found.append(Difference("labels", f"labels of {now.text!r}", before.labels, now.labels, position))
    if (recorded.loss is None) != (observed.loss is None):
        found.append(Difference("settings", "loss", recorded.loss, observed.loss))
    elif recorded.loss and observed.loss and recorded.loss.labels != observed.loss.labels:
        found.append(Difference("settings", "labels given", recorded.loss.labels, observed.loss.labels))
    drift, numbers = _numbers(_classification_numbers(recorded, observed), tolerance)
    return found + numbers, drift


def _classification_numbers(
    recorded: ClassificationRecord, observed: ClassificationRecord
) -> Iterator[tuple[str, int, float, float]]:
    for position, (before, now) in enumerate(zip(recorded.inputs, observed.inputs, strict=False)):
        if len(before.logits) == len(now.logits):
            for value, value_now in zip(before.logits, now.logits, strict=True):
                yield "logit", position, value, value_now
            yield "margin", position, before.margin, now.margin
    if recorded.loss and observed.loss:
        yield "loss", 0, recorded.loss.value, observed.loss.value


# If every token of a step is suppressed, all scores are -inf: there is no distribution and no difference. Any other
# NaN hides what moved.
_NAN_IF_SUPPRESSED = ("processed log-probability", "margin")


def _numbers(pairs: Iterator[tuple[str, int, float, float]], tolerance: Tolerance) -> tuple[float, list[Difference]]:
    """Return the largest drift, and the first number of each kind that is beyond tolerance."""
    drift = 0.0
    first: dict[str, Difference] = {}
    for what, position, before, now in pairs:
        equal = before == now or (what in _NAN_IF_SUPPRESSED and math.isnan(before) and math.isnan(now))
        moved = 0.0 if equal else abs(before - now)
        if not (moved <= drift or math.isnan(drift)):  # NaN stays: it is larger than any tolerance
            drift = moved
        if not (equal or tolerance.accepts(before, now)):
            first.setdefault(what, Difference("numbers", what, before, now, position))
    return drift, list(first.values())


def _settings(recorded: dict[str, Any], observed: dict[str, Any]) -> Iterator[Difference]:
    for name in sorted({*recorded, *observed}):
        before, now = recorded.get(name), observed.get(name)
        if before != now or isinstance(before, bool) != isinstance(now, bool):  # 0 == False
            yield Difference("settings", name, before, now)


def _checkpoint_notes(recorded: Record, observed: Record) -> Iterator[str]:
    for part in ("weights", "config", "tokenizer"):
        before, now = getattr(recorded.checkpoint, part), getattr(observed.checkpoint, part)
        if before != now:
            yield f"the checkpoint's {part} changed"


def _is_near_tie(recorded: GenerationRecord, observed: GenerationRecord, differences: Sequence[Difference]) -> bool:
    """Return whether one close call explains everything: greedy search, equal numbers up to it, and no margin there.

    The drift must be within the noise floor at every position up to the divergence, looked up for the recorded token
    in the live distribution at the divergence itself; and the recorded margin there, and what the other token now has
    over the recorded one, at most twice that floor.
    """
    split = first_divergence(recorded.ids, observed.ids)
    if split is None or any(difference.layer in ("kind", "prompt", "settings") for difference in differences):
        return False
    tie = token_tie(recorded, observed, split)
    return tie is not None and tie.proven


def _are_near_ties(
    recorded: ClassificationRecord, observed: ClassificationRecord, differences: Sequence[Difference]
) -> bool:
    """Tell the same of a classifier: every label that differs stood next to another, or to one half."""
    if any(difference.layer != "labels" for difference in differences):
        return False
    ties = label_ties(recorded, observed)
    return bool(ties) and all(tie.proven for tie in ties)


def _step(record: GenerationRecord, position: int) -> Any:
    return record.steps[position] if position < len(record.steps) else None


def _kind(record: Record) -> str:
    return "generation" if isinstance(record, GenerationRecord) else "classification"
