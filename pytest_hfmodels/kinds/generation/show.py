"""What a reader sees of generation records: texts, tokens, beams. Data; terminal and pages lay it out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.base import Course, Detail, Part, Passage
from pytest_hfmodels.kinds.comparison import common_prefix, first_divergence, largest_movement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.generation.record import Beam, GenerationRecord, Step

_AFTER = 5  # tokens after one that differs
_SHOWN = 50  # characters of a token


def texts(record: GenerationRecord) -> dict[str, str]:
    """Return the output, and every returned beam."""
    beams = {f"returned beam {number}": beam.text for number, beam in enumerate(record.beams, 1)}
    return {"text": record.text, **beams}


def course(recorded: GenerationRecord | None, observed: GenerationRecord) -> Course:
    """Return both records token by token."""
    split = None if recorded is None else first_divergence(recorded.ids, observed.ids)
    comparable = recorded is not None and recorded.prompt.ids == observed.prompt.ids
    return Course(
        unit="token",
        divergence=split,
        recorded=() if recorded is None else _parts(recorded.steps),
        observed=_parts(observed.steps),
        drift=tuple(_drift(recorded, observed, split)) if recorded is not None and comparable else (),
    )


def movement(recorded: GenerationRecord, observed: GenerationRecord, comparison: Comparison) -> float | None:
    """Return how far numbers moved at most; None if none can be compared.

    If tokens differ, that includes the first recorded one that does, looked up in the live log-probabilities.
    """
    split = first_divergence(recorded.ids, observed.ids)
    last = None if split is None else _at_divergence(recorded, observed, split)
    beams = any(before.ids == now.ids for before, now in zip(recorded.beams, observed.beams, strict=False))
    if last is None:
        return None if split == 0 and not beams else comparison.drift
    return math.nan if math.isnan(last + comparison.drift) else max(last, comparison.drift)


def detail(difference: Difference, recorded: GenerationRecord, observed: GenerationRecord) -> Detail | None:
    """Return a token or a beam that differs, within the text around it."""
    if difference.stage == "ids":
        return _token(difference, recorded, observed)
    if difference.stage == "beams" and not isinstance(difference.recorded, int):
        return _beam(difference.position or 0, difference.recorded, difference.observed)
    return None


def _parts(steps: Sequence[Step]) -> tuple[Part, ...]:
    return tuple(Part(step.margin, step.id, step.text, step.log_probability) for step in steps)


def _drift(recorded: GenerationRecord, observed: GenerationRecord, split: int | None) -> Iterator[float]:
    """Yield how far the numbers of each step moved; at the divergence the recorded token's, looked up in the live."""
    for before, now in list(zip(recorded.steps, observed.steps, strict=False))[:split]:
        yield largest_movement(
            (before.log_probability, now.log_probability),
            (before.processed, now.processed),
            (before.margin, now.margin),
        )
    last = None if split is None else _at_divergence(recorded, observed, split)
    if last is not None:
        yield last


def _at_divergence(recorded: GenerationRecord, observed: GenerationRecord, split: int) -> float | None:
    """Return how far the first recorded token that differs moved; None if the live log-probabilities lack it."""
    if split >= len(recorded.steps):
        return None
    step, now = recorded.steps[split], _log_probability_now(recorded.steps[split], split, observed)
    if now is None:
        return None
    return 0.0 if now == step.log_probability else abs(step.log_probability - now)


def _log_probability_now(step: Step, position: int, observed: GenerationRecord) -> float | None:
    live = observed.live
    if live is None or position >= len(live.log_probabilities) or step.id >= live.log_probabilities.shape[1]:
        return None
    return float(live.log_probabilities[position, step.id])


def _token(difference: Difference, recorded: GenerationRecord, observed: GenerationRecord) -> Detail:
    position = difference.position or 0
    then, now = difference.recorded, difference.observed
    before = recorded.prompt.text + "".join(step.text for step in recorded.steps[:position])

    def passage(step: Step | None, record: GenerationRecord) -> Passage:
        after = "".join(step.text for step in record.steps[position + 1 : position + 1 + _AFTER])
        return Passage(before, "the end" if step is None else _head(step.text), after)

    figures = []
    if then is not None:
        moved = _recorded_token_now(then, position, observed)
        figures.append(f"{_named(then)} had {then.log_probability:.4g}, margin {then.margin:.4g}{moved}")
    if now is not None:
        figures.append(f"{_named(now)} now has {now.log_probability:.4g}, margin {now.margin:.4g}")
    return Detail(passage(then, recorded), passage(now, observed), figures=tuple(figures))


def _named(step: Step) -> str:
    return f"{_head(step.text)!r} (id {step.id})"


def _recorded_token_now(step: Step, position: int, observed: GenerationRecord) -> str:
    live = observed.live
    if live is not None and position < len(live.log_probabilities) and step.id >= live.log_probabilities.shape[1]:
        return f"; id {step.id} is beyond the vocabulary now"
    value = _log_probability_now(step, position, observed)
    return "" if value is None else f"; now {value:.4g}, moved by {abs(value - step.log_probability):.2g}"


def _beam(position: int, recorded: Beam, observed: Beam) -> Detail:
    split = common_prefix(recorded.text, observed.text)

    def passage(side: Beam) -> Passage:
        return Passage(side.text[:split], side.text[split:], label=f"{side.score:.6g} ")

    return Detail(passage(recorded), passage(observed), title=f"returned beam {position + 1} differs")


def _head(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
