"""What a reader sees of generation records: tokens and beams. Data; terminal and pages lay it out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.base import Course, Part
from pytest_hfmodels.kinds.comparison import (
    Detail,
    Passage,
    abs_diff,
    common_prefix,
    first_divergence,
    largest_movement,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.generation.record import Beam, GenerationRecord, Step

_AFTER = 5  # tokens after one that differs
_SHOWN = 50  # characters of a token
_PLAIN = 1e-4  # nats: a processed score this near to the raw one was not changed
_RARE = 0.01  # percent


def course(recorded: GenerationRecord | None, observed: GenerationRecord) -> Course:
    """Return both records token by token."""
    comparable = recorded is not None and recorded.prompt.ids == observed.prompt.ids
    return Course(
        unit="token",
        divergence=None if recorded is None else first_divergence(recorded.ids, observed.ids),
        recorded=() if recorded is None else _parts(recorded.steps),
        observed=_parts(observed.steps),
        drift=tuple(_drift(recorded, observed)) if recorded is not None and comparable else (),
    )


def movement(recorded: GenerationRecord, observed: GenerationRecord, drift: float) -> float | None:
    """Return how far numbers moved at most; None if none can be compared."""
    split, last = first_divergence(recorded.ids, observed.ids), _at_divergence(recorded, observed)
    if last is not None:
        return math.nan if math.isnan(last + drift) else max(last, drift)
    beams = any(before.ids == now.ids for before, now in zip(recorded.beams, observed.beams, strict=False))
    return None if split == 0 and not beams else drift


def token(difference: Difference, recorded: GenerationRecord, observed: GenerationRecord) -> Detail:
    """Return the first token that differs, within the text around it."""
    position = difference.position or 0
    then, now = difference.recorded, difference.observed
    before = ("" if recorded.start else recorded.prompt.text) + "".join(step.text for step in recorded.steps[:position])

    def passage(step: Step | None, record: GenerationRecord) -> Passage:
        after = "".join(step.text for step in record.steps[position + 1 : position + 1 + _AFTER])
        return Passage(before, "the end" if step is None else _head(step.text), after)

    figures = [_likelihoods(then, now, position, observed)]
    if then is not None:
        moved = _recorded_token_now(then, position, observed)
        figures.append(f"{_named(then)} had {then.log_probability:.4g}, margin {then.margin:.4g}{moved}")
    if now is not None:
        figures.append(f"{_named(now)} now has {now.log_probability:.4g}, margin {now.margin:.4g}")
    return Detail(passage(then, recorded), passage(now, observed), figures=tuple(figures))


def beam(difference: Difference) -> Detail:
    """Return a beam that differs, after what both sides begin with."""
    split = common_prefix(difference.recorded.text, difference.observed.text)

    def passage(side: Beam) -> Passage:
        return Passage(side.text[:split], side.text[split:], label=f"{side.score:.6g} ")

    title = f"returned beam {(difference.position or 0) + 1} differs"
    return Detail(passage(difference.recorded), passage(difference.observed), title=title)


def _parts(steps: Sequence[Step]) -> tuple[Part, ...]:
    return tuple(Part(step.margin, step.id, step.text, step.log_probability) for step in steps)


def _drift(recorded: GenerationRecord, observed: GenerationRecord) -> Iterator[float]:
    """Yield how far the numbers of each step moved, up to the first recorded token that differs."""
    split = first_divergence(recorded.ids, observed.ids)
    for before, now in list(zip(recorded.steps, observed.steps, strict=False))[:split]:
        sides = ((step.log_probability, step.processed, step.margin) for step in (before, now))
        yield largest_movement(*sides)
    last = _at_divergence(recorded, observed)
    if last is not None:
        yield last


def _at_divergence(recorded: GenerationRecord, observed: GenerationRecord) -> float | None:
    """Return how far the first recorded token that differs moved; None if the live log-probabilities lack it."""
    split = first_divergence(recorded.ids, observed.ids)
    if split is None or split >= len(recorded.steps):
        return None
    step = recorded.steps[split]
    now = _log_probability_now(step, split, observed)
    return None if now is None else abs_diff(step.log_probability, now)


def _log_probability_now(step: Step, position: int, observed: GenerationRecord) -> float | None:
    live = observed.live
    if live is None or position >= len(live.log_probabilities) or step.id >= live.log_probabilities.shape[1]:
        return None
    return float(live.log_probabilities[position, step.id])


def _recorded_token_now(step: Step, position: int, observed: GenerationRecord) -> str:
    live = observed.live
    if live is not None and position < len(live.log_probabilities) and step.id >= live.log_probabilities.shape[1]:
        return f"; id {step.id} is beyond the vocabulary now"
    value = _log_probability_now(step, position, observed)
    return "" if value is None else f"; now {value:.4g}, moved by {abs(value - step.log_probability):.2g}"


def _likelihoods(then: Step | None, now: Step | None, position: int, observed: GenerationRecord) -> str:
    """Return how likely both candidates were and are: `' and' had 60.7 %, ' but' 13.5 %; now ' but' has 88.2 %`."""
    before = [_said(then, then), _said(now, then)]
    here = [_said(now, now), _said(then, now)]
    if then is not None and here[1] is None:
        here[1] = _log_probability_now(then, position, observed)
    tokens = [None if one is None else repr(_head(one.text)) for one in (then, now)]
    return f"{_side(tokens, before, 'had')}; now {_side(tokens[::-1], here, 'has')}"


def _side(tokens: Sequence[str | None], values: Sequence[float | None], verb: str) -> str:
    shares = _percent([value for value in values if value is not None])
    found = [(token, next(shares)) for token, value in zip(tokens, values, strict=True) if value is not None]
    if tokens[0] is None:
        return "the text ended here" if verb == "had" else "the text ends here"
    (first, share), *others = found
    return ", ".join([f"{first} {verb} {share}", *(f"{token} {percent}" for token, percent in others)])


def _said(token: Step | None, side: Step | None) -> float | None:
    """Return the log-probability of a token on a side that chose it, or had it second; None if it is unknown.

    A margin is one of processed scores, and speaks of log-probabilities only where no processor changed them.
    """
    if token is None or side is None:
        return None
    if token.id == side.id:
        return side.log_probability
    plain = abs(side.processed - side.log_probability) < _PLAIN
    return side.log_probability - side.margin if plain and token.id == side.runner_up else None


def _percent(values: Sequence[float]) -> Iterator[str]:
    """Yield log-probabilities in percent, with as many digits as two that differ need."""
    shares = [100 * math.exp(min(value, 0.0)) for value in values]
    digits = next((n for n in range(3, 8) if len({f"{share:.{n}g}" for share in shares}) == len({*shares})), 8)
    return (f"{share:.{digits}g} %" if not share < _RARE else f"under {_RARE} %" for share in shares)


def _named(step: Step) -> str:
    return f"{_head(step.text)!r} (id {step.id})"


def _head(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
