"""From what a comparison left behind to what reports tell of it. Runs where the test ran: on xdist's workers too."""

from __future__ import annotations

import math
from os.path import relpath
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.kinds.comparison import Verdict, common_prefix
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.reports.results import (
    Ablation,
    Compared,
    Difference,
    Evidence,
    Excerpt,
    ProvenanceView,
    Steps,
    Token,
    TokenPair,
)
from pytest_hfmodels.reports.terminal import first_difference, mismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.explain import Explanation
    from pytest_hfmodels.kinds.base import Course, Part, Record
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
    course = course_of(outcome)
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
        tokens=() if course is None else tuple(_tokens(course)),
        steps=_steps(course),
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
    start = 0 if other is None or text == other else max(0, common_prefix(text, other) - size // 2)
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
        return {"cause": None, "why": None, "block": None, "evidence": (), "ablations": (), "suggests": ()}
    return {
        "cause": found.cause,
        "why": _sentence(found.sentence),
        "block": found.block,
        "evidence": tuple(
            Evidence(_sentence(one.what), {name: _figure(value) for name, value in one.figures.items()})
            for one in found.evidence
        ),
        "ablations": tuple(
            Ablation(_sentence(one.what), _figure(one.before), _figure(one.after), one.returns)
            for one in found.ablations
        ),
        "suggests": tuple(map(clean, found.suggests)),
    }


def _drift(outcome: Outcome) -> float | None:
    moved = movement(outcome)
    return None if moved is None else _figure(moved)


def _difference(found: Any) -> Difference:
    return Difference(
        found.stage, _cut_to(_VALUE, found.what), found.position, _value(found.recorded), _value(found.observed)
    )


def _value(value: Any) -> str:
    if isinstance(value, float):
        value = f"{value:.9g}"
    return _cut_to(_VALUE, str(value))


def _sentence(text: str) -> str:
    return _cut_to(_SENTENCE, text)


def _cut_to(size: int, text: str) -> str:
    text = clean(text)
    return text if len(text) <= size else f"{text[:size]}…"


def _figure(value: float) -> float | None:
    """Return six digits of a number, or None where it is not finite: JSON knows no such number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _made(record: Record) -> ProvenanceView:
    made, seen = record.provenance, record.checkpoint
    return ProvenanceView(
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


def course_of(outcome: Outcome) -> Course | None:
    """Return both records of a comparison decision by decision; None if their kind has no decisions."""
    kind, recorded = kind_of(outcome.observed), outcome.recorded
    alike = recorded is not None and recorded.kind == kind.name
    course: Course | None = kind.course(recorded if alike else None, outcome.observed)
    return course


def movement(outcome: Outcome) -> float | None:
    """Return how far the numbers of a comparison moved at most; None if none can be compared."""
    recorded = outcome.recorded
    stages = {difference.stage for difference in outcome.comparison.differences}
    if recorded is None or {"kind", "prompt"} & stages:
        return None
    moved: float | None = kind_of(recorded).movement(recorded, outcome.observed, outcome.comparison)
    return moved


def _texts(outcome: Outcome) -> tuple[str, str | None, str]:
    """Return the name of the first text that differs, and both sides of it."""
    now = kind_of(outcome.observed).texts(outcome.observed)
    before = {} if outcome.recorded is None else kind_of(outcome.recorded).texts(outcome.recorded)
    first = next(iter(now))
    name = next((name for name in now if name in before and now[name] != before[name]), first)
    return name, before.get(name, next(iter(before.values()), None)), now[name]


def _tokens(course: Course) -> Iterator[TokenPair]:
    split = course.divergence
    if split is not None:
        last = min(max(len(course.recorded), len(course.observed)), split + _TOKENS + 1)
        for position in range(max(0, split - _TOKENS), last):
            yield TokenPair(position, _token(course.recorded, position), _token(course.observed, position))


def _token(parts: Sequence[Part], position: int) -> Token | None:
    if position >= len(parts):
        return None
    part = parts[position]
    return Token(part.id or 0, clean(part.text), _figure(part.log_probability), _figure(part.margin))


def _steps(course: Course | None) -> Steps:
    """Return the figures of at most STEPS parts: those around the divergence, or around the largest drift."""
    if course is None:
        return Steps("token", 0, 0, None, (), (), ())
    drift = [None if value is None else _figure(value) for value in course.drift]
    focus = course.divergence
    if focus is None:
        focus = max(range(len(drift)), key=lambda step: -1.0 if drift[step] is None else drift[step] or 0.0, default=0)
    count = max(len(course.recorded), len(course.observed))
    start = max(0, min(focus - STEPS // 2, count - STEPS))
    shown = slice(start, start + STEPS)
    return Steps(
        unit=course.unit,
        start=start,
        count=len(course.recorded),
        divergence=course.divergence,
        recorded_margin=tuple(_figure(part.margin) for part in course.recorded[shown]),
        observed_margin=tuple(_figure(part.margin) for part in course.observed[shown]),
        drift=tuple(drift[shown]),
    )
