"""From what a comparison left behind to what reports tell of it. Runs where the test ran: on xdist's workers too."""

from __future__ import annotations

import math
from os.path import relpath
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.records import Beam, ClassificationRecord, GenerationRecord, Step
from pytest_hfmodels.reports.results import (
    Compared,
    Difference,
    Evidence,
    Excerpt,
    Made,
    Steps,
    Swap,
    Token,
    TokenPair,
    parting,
)
from pytest_hfmodels.reports.terminal import first_difference, mismatch
from pytest_hfmodels.snapshots.compare import Verdict, first_divergence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.explain import Explanation
    from pytest_hfmodels.records import Record
    from pytest_hfmodels.snapshots.assertion import Outcome

# A report holds what a person looks at; the snapshot and the pending change hold everything.
TEXT = 4000  # characters of each text
STEPS = 512
_TOKENS = 3  # on each side of the divergence
_DIFFERENCES = 20
_VALUE = 200  # characters of a value that differs
_SENTENCE = 500  # of a sentence: what it quotes may be long


def compared(outcome: Outcome, root: Path) -> Compared:
    """Return what reports tell of a comparison.

    Args:
        outcome: what it said.
        root: of the project, which paths start from.
    """
    comparison, recorded, observed = outcome.comparison, outcome.recorded, outcome.observed
    shows, before, now = _texts(outcome)
    return Compared(
        snapshot=_relative(outcome.path, root),
        verdict=comparison.verdict.value,
        **_explained(outcome.explanation),
        headline=_headline(outcome),
        drift=_drift(outcome),
        tolerance=comparison.tolerance.absolute,
        ledger=None if outcome.variant is None else outcome.variant.entry.name,
        base=None if outcome.from_base is None else outcome.from_base.verdict.value,
        notes=tuple(map(_sentence, comparison.notes)),
        differences=tuple(_difference(found) for found in comparison.differences[:_DIFFERENCES]),
        shows=shows,
        recorded=None if before is None else excerpt(before, now, TEXT),
        observed=excerpt(now, before, TEXT),
        tokens=_tokens(recorded, observed),
        steps=_steps(recorded, observed),
        recorded_by=None if recorded is None else _made(recorded),
        observed_by=_made(observed),
        pending=None,
        writer=clean(outcome.writer),
    )


def clean(text: str) -> str:
    """Return text that UTF-8 can hold: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def excerpt(text: str, other: str | None, size: int) -> Excerpt:
    """Return a text, or `size` characters of it around the first that differs from another's."""
    start = 0 if other is None or text == other else max(0, parting(text, other) - size // 2)
    return Excerpt(clean(text[start : start + size]), start, len(clean(text[start:])) + start)


def _relative(path: Path, root: Path) -> str:
    return clean(PurePath(relpath(path, root)).as_posix())


def _headline(outcome: Outcome) -> str:
    verdict = outcome.comparison.verdict
    if verdict is Verdict.SAME or (outcome.recorded is not None and not outcome.comparison.differences):
        return ""
    if outcome.recorded is None:
        said = mismatch(outcome, verbose=False)[0].removeprefix(f"{verdict}: ")
        return clean(said.removesuffix(f" ({relpath(outcome.path)})"))
    return clean(first_difference(outcome.comparison))


def _explained(found: Explanation | None) -> dict[str, Any]:
    if found is None:
        return {"cause": None, "why": None, "block": None, "evidence": (), "swapped": (), "suggests": ()}
    return {
        "cause": found.cause,
        "why": _sentence(found.sentence),
        "block": found.block,
        "evidence": tuple(
            Evidence(_sentence(one.what), {name: _figure(value) for name, value in one.figures.items()})
            for one in found.evidence
        ),
        "swapped": tuple(
            Swap(_sentence(one.what), _figure(one.before), _figure(one.after), one.returns) for one in found.swapped
        ),
        "suggests": tuple(map(clean, found.suggests)),
    }


def _drift(outcome: Outcome) -> float | None:
    moved = movement(outcome)
    return None if moved is None else _figure(moved)


def movement(outcome: Outcome) -> float | None:
    """Return how far the numbers of a comparison moved at most; None where there are none to compare.

    Where tokens differ that includes the first recorded one that does, looked up in what the model says there now.
    """
    comparison, recorded, observed = outcome.comparison, outcome.recorded, outcome.observed
    if recorded is None or {"kind", "prompt"} & {difference.layer for difference in comparison.differences}:
        return None
    if not isinstance(recorded, GenerationRecord) or not isinstance(observed, GenerationRecord):
        return comparison.drift
    split = first_divergence(recorded.ids, observed.ids)
    last = None if split is None else _at_divergence(recorded, observed, split)
    beams = any(before.ids == now.ids for before, now in zip(recorded.beams, observed.beams, strict=False))
    if last is None:
        return None if split == 0 and not beams else comparison.drift
    return math.nan if math.isnan(last + comparison.drift) else max(last, comparison.drift)


def _at_divergence(recorded: GenerationRecord, observed: GenerationRecord, split: int) -> float | None:
    """Return how far the first recorded token that differs moved; None where the model has said nothing of it."""
    live = observed.live
    if split >= len(recorded.steps) or live is None or split >= len(live.log_probabilities):
        return None
    step, table = recorded.steps[split], live.log_probabilities
    if step.id >= table.shape[1]:
        return None
    now = float(table[split, step.id])
    return 0.0 if now == step.log_probability else abs(step.log_probability - now)


def _difference(found: Any) -> Difference:
    return Difference(
        found.layer, _cut_to(_VALUE, found.what), found.position, _value(found.recorded), _value(found.observed)
    )


def _value(value: Any) -> str:
    if isinstance(value, Step):
        value = f"{value.text!r} (id {value.id})"
    elif isinstance(value, Beam):
        value = f"{value.score:.6g} {value.text!r}"
    elif isinstance(value, float):
        value = f"{value:.9g}"
    return _cut_to(_VALUE, value if isinstance(value, str) else repr(value))


def _sentence(text: str) -> str:
    return _cut_to(_SENTENCE, text)


def _cut_to(size: int, text: str) -> str:
    text = clean(text)
    return text if len(text) <= size else f"{text[:size]}…"


def _texts(outcome: Outcome) -> tuple[str, str | None, str]:
    """Return what the texts are, and both; of beams the first that differs."""
    recorded, observed = outcome.recorded, outcome.observed
    for difference in outcome.comparison.differences:
        if difference.layer == "ids":
            break
        if isinstance(difference.recorded, Beam) and isinstance(difference.observed, Beam):
            name = f"returned beam {(difference.position or 0) + 1}"
            return name, difference.recorded.text, difference.observed.text
    shows = "text" if isinstance(observed, GenerationRecord) else "labels"
    return shows, None if recorded is None else _text(recorded), _text(observed)


def _text(record: Record) -> str:
    if isinstance(record, GenerationRecord):
        return record.text
    rows = (
        f"{row.text!r}: {row.label} ({', '.join(row.labels) or 'none'} above one half; "
        f"logits {', '.join(f'{value:.5g}' for value in row.logits)})"
        for row in record.inputs
    )
    loss = () if record.loss is None else (f"loss {record.loss.value:.6g}",)
    return "\n".join((*rows, *loss))


def _tokens(recorded: Record | None, observed: Record) -> tuple[TokenPair, ...]:
    if not isinstance(recorded, GenerationRecord) or not isinstance(observed, GenerationRecord):
        return ()
    split = first_divergence(recorded.ids, observed.ids)
    if split is None:
        return ()
    last = min(max(len(recorded.steps), len(observed.steps)), split + _TOKENS + 1)
    return tuple(
        TokenPair(position, _token(recorded.steps, position), _token(observed.steps, position))
        for position in range(max(0, split - _TOKENS), last)
    )


def _token(steps: Sequence[Step], position: int) -> Token | None:
    if position >= len(steps):
        return None
    step = steps[position]
    return Token(step.id, clean(step.text), _figure(step.log_probability), _figure(step.margin))


def _steps(recorded: Record | None, observed: Record) -> Steps:
    if isinstance(observed, ClassificationRecord):
        before: Sequence[Any] = recorded.inputs if isinstance(recorded, ClassificationRecord) else ()
        return _cut("input", None, before, observed.inputs, _input_drift(before, observed.inputs))
    known = recorded if isinstance(recorded, GenerationRecord) else None
    split = None if known is None else first_divergence(known.ids, observed.ids)
    drift = () if known is None or known.prompt.ids != observed.prompt.ids else _step_drift(known, observed, split)
    return _cut("token", split, () if known is None else known.steps, observed.steps, drift)


def _cut(
    unit: Any, split: int | None, recorded: Sequence[Any], observed: Sequence[Any], drift: Sequence[float | None]
) -> Steps:
    """Return the figures of at most STEPS steps: those around the divergence, or around the largest drift."""
    focus = split
    if focus is None:
        focus = max(range(len(drift)), key=lambda step: -1.0 if drift[step] is None else drift[step] or 0.0, default=0)
    count = max(len(recorded), len(observed))
    start = max(0, min(focus - STEPS // 2, count - STEPS))
    shown = slice(start, start + STEPS)
    return Steps(
        unit=unit,
        start=start,
        count=len(recorded),
        divergence=split,
        recorded_margin=tuple(_figure(step.margin) for step in recorded[shown]),
        observed_margin=tuple(_figure(step.margin) for step in observed[shown]),
        drift=tuple(drift[shown]),
    )


def _step_drift(recorded: GenerationRecord, observed: GenerationRecord, split: int | None) -> tuple[float | None, ...]:
    """Return how far the numbers of each step moved; at the divergence the recorded token's, looked up in the live."""
    shared = list(zip(recorded.steps, observed.steps, strict=False))[:split]
    moved = [
        _largest(
            (before.log_probability, now.log_probability),
            (before.processed, now.processed),
            (before.margin, now.margin),
        )
        for before, now in shared
    ]
    last = None if split is None else _at_divergence(recorded, observed, split)
    return tuple(moved) if last is None else (*moved, _figure(last))


def _input_drift(recorded: Sequence[Any], observed: Sequence[Any]) -> tuple[float | None, ...]:
    return tuple(
        _largest(*zip(before.logits, now.logits, strict=True)) if len(before.logits) == len(now.logits) else None
        for before, now in zip(recorded, observed, strict=False)
    )


def _largest(*pairs: tuple[float, float]) -> float | None:
    """Return the largest movement; equal infinities have not moved."""
    moved = [0.0 if before == now else abs(before - now) for before, now in pairs]
    return _figure(math.nan if any(map(math.isnan, moved)) else max(moved, default=0.0))


def _figure(value: float) -> float | None:
    """Return six digits of a number, or None where it is not finite: JSON knows no such number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _made(record: Record) -> Made:
    made, seen = record.provenance, record.checkpoint
    return Made(
        engine=made.engine,
        implementation=made.implementation,
        dtype=made.dtype,
        attention=made.attention,
        device=made.device,
        cpu=made.cpu,
        versions=dict(made.versions),
        checkpoint=clean(seen.name),
        origin=seen.origin,
        revision=seen.revision,
        weights=seen.weights,
        config=seen.config,
        tokenizer=seen.tokenizer,
    )
