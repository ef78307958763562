"""What differs between two generation records, and whether a close decision explains it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.comparison import Difference, first_divergence
from pytest_hfmodels.kinds.near_ties import Tie, floor_of_tie

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.generation.record import GenerationRecord


def differences(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    """Yield what differs, except numbers."""
    if recorded.prompt.ids != observed.prompt.ids:
        position = first_divergence(recorded.prompt.ids, observed.prompt.ids)
        yield Difference("prompt", "prompt ids", recorded.prompt.ids, observed.prompt.ids, position)
    elif recorded.prompt.text != observed.prompt.text:
        # A prompt given as ids is decoded. If its text differs, so does the text of the output.
        stage = "prompt" if recorded.text == observed.text else "text"
        yield Difference(stage, "prompt text", recorded.prompt.text, observed.prompt.text)
    split = first_divergence(recorded.ids, observed.ids)
    if split is not None:
        yield Difference("ids", "generated token", _step(recorded, split), _step(observed, split), split)
    yield from _beam_ids(recorded, observed)
    yield from _token_texts(recorded, observed)
    if recorded.text != observed.text:
        yield Difference("text", "decoded text", recorded.text, observed.text)


def numbers(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[tuple[str, int, float, float]]:
    """Yield the numbers of tokens up to the first that differs, and the scores of equal beams."""
    split = first_divergence(recorded.ids, observed.ids)
    for position in range(len(recorded.steps) if split is None else split):
        before, now = recorded.steps[position], observed.steps[position]
        yield "log-probability", position, before.log_probability, now.log_probability
        # If every token of a step is suppressed, all scores are -inf: there is no distribution and no difference.
        if not (math.isnan(before.processed) and math.isnan(now.processed)):
            yield "processed log-probability", position, before.processed, now.processed
        if not (math.isnan(before.margin) and math.isnan(now.margin)):
            yield "margin", position, before.margin, now.margin
    for position, (beam, beam_now) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        if beam.ids == beam_now.ids:
            yield "beam score", position, beam.score, beam_now.score


def is_near_tie(recorded: GenerationRecord, observed: GenerationRecord, differences: Sequence[Difference]) -> bool:
    """Return whether one close call explains everything: greedy search, equal numbers up to it, and no margin there.

    The drift must be within the noise floor at every position up to the divergence, looked up for the recorded token
    in the live distribution at the divergence itself; and the recorded margin there, and what the other token now has
    over the recorded one, at most twice that floor.
    """
    split = first_divergence(recorded.ids, observed.ids)
    if split is None or any(difference.stage in ("kind", "prompt", "settings") for difference in differences):
        return False
    tie = token_tie(recorded, observed, split)
    return tie is not None and tie.proven


def token_tie(recorded: GenerationRecord, observed: GenerationRecord, split: int) -> Tie | None:
    """Return the figures of a greedy search's first token that differs, or None where they are not known.

    Args:
        recorded: from the snapshot.
        observed: with what the model said of the whole vocabulary.
        split: index of that token; numbers are looked up for the recorded tokens up to and with it.
    """
    live = observed.live
    if recorded.beams or live is None or split >= min(len(recorded.steps), len(observed.steps)):
        return None
    if max(recorded.ids[: split + 1]) >= live.log_probabilities.shape[1]:
        return None  # the vocabulary has shrunk
    moved = [
        abs(step.log_probability - float(live.log_probabilities[position, step.id]))
        for position, step in enumerate(recorded.steps[: split + 1])
    ]
    scores = live.scores[split]
    return Tie(
        position=split,
        drift=math.nan if any(map(math.isnan, moved)) else max(moved),
        floor=floor_of_tie(recorded, observed),
        margin=recorded.steps[split].margin,
        gap=float(scores[observed.ids[split]] - scores[recorded.ids[split]]),
    )


def _beam_ids(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[Difference]:
    if len(recorded.beams) != len(observed.beams):
        yield Difference("beams", "number of returned beams", len(recorded.beams), len(observed.beams))
    # The first beam is the sequence whose steps are compared above; if they differ, do not report it again.
    told = recorded.ids != observed.ids
    for position, (beam, now) in enumerate(zip(recorded.beams, observed.beams, strict=False)):
        if beam.ids != now.ids and not (told and position == 0):
            yield Difference("beams", "returned beam", beam, now, position)


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


def _step(record: GenerationRecord, position: int) -> Any:
    return record.steps[position] if position < len(record.steps) else None
