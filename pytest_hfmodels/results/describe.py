"""From two live records and their comparison to the plain result. Runs where the test ran: on xdist's workers too."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import Detail, Difference, Passage, abs_diff, common_prefix
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.results.model import Compared, Excerpt, Side, cut

if TYPE_CHECKING:
    from pytest_hfmodels.kinds.base import Course, Record
    from pytest_hfmodels.kinds.comparison import Comparison
    from pytest_hfmodels.kinds.explanation import Explanation

T = TypeVar("T")

# A report holds what a person looks at; the snapshot and the pending change hold everything.
TEXT = 4000  # characters of each text
STEPS = 512
SENTENCE = 500  # characters; what a sentence quotes may be long
_DIFFERENCES = 20
_VALUE = 160  # characters of a value that differs
_AROUND = 200  # characters of a passage that differs, and on each side of it
_NAME = 80  # characters of what differs: a classified text may be in it
_SEVERAL = "prompt ids", "ids of ", "labels above ", "labels given"  # names of what is plural
_PLAIN = 1000  # floors: a movement of more is plainly no rounding


def describe(
    recorded: Record | None,
    observed: Record,
    comparison: Comparison,
    explanation: Explanation | None,
    *,
    snapshot: str,
    **about: Any,
) -> Compared:
    """Return the result of a comparison.

    Args:
        recorded: the snapshot's record, or None where there is no file.
        observed: this run's.
        comparison: of the two.
        explanation: why they differ.
        snapshot: the file, relative to the project's root.
        about: the other fields of `Compared`: `equal`, `entry`, `base`, `writer`, `refusal`.
    """
    kind, first = kind_of(observed), comparison.differences[:_DIFFERENCES]
    most = _largest(recorded, observed, comparison)
    shows, before, now = _texts(recorded, observed)
    course = kind.course(recorded if recorded is not None and recorded.kind == kind.name else None, observed)
    return Compared(
        snapshot=snapshot,
        verdict=comparison.verdict,
        headline=_headline(comparison, snapshot, exists=recorded is not None),
        differences=tuple(_difference(found, recorded, observed) for found in first),
        hidden=len(comparison.differences) - len(first),
        # Suggestions stay whole: half a command would be another command.
        explanation=None if explanation is None else replace(plain(explanation), suggests=explanation.suggests),
        drift=_drift(recorded, observed, comparison),
        before=_figure(comparison.drift),
        tolerance=comparison.tolerance.absolute,
        notes=plain(comparison.notes),
        shows=shows,
        recorded=None if recorded is None else _side(recorded, before, now),
        observed=_side(observed, now, before),
        largest=None if most is None else _difference(most, recorded, observed),
        course=None if course is None else plain(_window(course)),
        changed=_changed(course),
        **about,
    )


def plain(value: T) -> T:
    """Return data that JSON can hold and a person reads: sentences cut, figures of six digits."""
    found: Any = value
    if isinstance(value, str) and not isinstance(value, Verdict):
        found = cut(value, SENTENCE)
    elif isinstance(value, float):
        found = _figure(value)
    elif isinstance(value, tuple):
        found = tuple(map(plain, value))
    elif isinstance(value, dict):
        found = {name: plain(one) for name, one in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{field.name: plain(getattr(value, field.name)) for field in fields(value)})
    return found  # type: ignore[no-any-return]


def excerpt(text: str, other: str | None, size: int) -> Excerpt:
    """Return a text, or `size` characters of it around the first that differs from another's."""
    start = 0 if other is None or text == other else max(0, common_prefix(text, other) - size // 2)
    return Excerpt(text[start : start + size], start, len(text[start:]) + start)


def _headline(comparison: Comparison, snapshot: str, *, exists: bool) -> str:
    if comparison.verdict is Verdict.SAME or (exists and not comparison.differences):
        return ""
    if not exists:
        return f"there is no snapshot {snapshot} yet"
    first = comparison.differences[0]
    what = cut(first.what, _NAME)
    if comparison.verdict is Verdict.DRIFT:
        return f"the same output, but numbers moved beyond tolerance, first the {what}{place(first)}"
    if first.stage == "ids":
        return f"{what} {'?' if first.position is None else first.position + 1} differs"
    return f"{what} {'differ' if first.what.startswith(_SEVERAL) else 'differs'}"


# What the position of a number counts.
_OF_A_TOKEN = ("log-probability", "processed log-probability", "margin", "log-probability of a likelier token")
_UNITS = {
    **dict.fromkeys(_OF_A_TOKEN, "token"),
    **dict.fromkeys(("logit", "margin of its labels"), "text"),
    "beam score": "beam",
}


def place(difference: Difference) -> str:
    """Return where a number stands (` of token 2`), to go behind its name."""
    if difference.position is None or difference.what == "loss":
        return ""
    unit = _UNITS.get(difference.what.rpartition(": ")[2])  # behind the row of a batch
    return f" {difference.position + 1}" if unit is None else f" of {unit} {difference.position + 1}"


def _difference(found: Difference, recorded: Record | None, observed: Record) -> Difference:
    """Return a difference with its values in words, or as numbers where they are compared as such."""
    detail = found.detail
    if detail is None and found.stage == "text":
        detail = Detail(*passages(found.recorded, found.observed))
    elif detail is None and recorded is not None and found.stage != "kind":
        detail = kind_of(recorded).detail(found, recorded, observed)
    before, now = (_value(value, found) for value in (found.recorded, found.observed))
    shown = None if detail is None else _shortened(detail)
    return replace(found, what=cut(found.what, _VALUE), recorded=before, observed=now, detail=shown)


def _value(value: Any, found: Difference) -> Any:
    """Return a number as it is, or a value in words, cut to what surrounds the position that differs."""
    if isinstance(value, float) or found.stage == "numbers":
        return value if found.stage == "numbers" and math.isfinite(value) else f"{value:.9g}"
    if found.stage == "prompt" and found.position is not None and isinstance(value, tuple) and len(value) > 20:
        start = max(0, found.position - 3)
        return f"…{list(value[start : start + 8])}…, {len(value)} in all"
    if found.stage == "labels" and isinstance(value, tuple):
        return cut(", ".join(map(repr, value)) or "none", _VALUE)
    return cut(repr(value), _VALUE)


def passages(recorded: str, observed: str) -> tuple[Passage, Passage]:
    """Return two texts, each split where the part that differs begins and ends."""
    split = common_prefix(recorded, observed)
    end = common_prefix(recorded[split:][::-1], observed[split:][::-1])
    before, now = (
        Passage(text[:split], text[split : len(text) - end], text[len(text) - end :]) for text in (recorded, observed)
    )
    return before, now


def _shortened(detail: Detail) -> Detail:
    recorded, observed = (
        Passage(side.before[-_AROUND:], side.different[:_AROUND], side.after[:_AROUND], side.label)
        for side in (detail.recorded, detail.observed)
    )
    return Detail(recorded, observed, detail.title, plain(detail.figures))


def in_floors(moved: float, recorded: Side | None) -> str:
    """Return a movement as a multiple of the noise floor that was measured when recording.

    Nothing without one, or if the movement is plainly no rounding.
    """
    floor = None if recorded is None else recorded.provenance.noise_floor
    if floor is None or not floor < moved < _PLAIN * floor:
        return ""
    return f", {round(moved / floor, moved < 10 * floor):g} times this model's noise floor"


def whole_numbers_differ(found: Compared) -> bool:
    """Return whether numbers without a tolerance differ, which a movement does not count."""
    exact = (str(one.recorded) for one in found.differences if one.stage == "labels")
    return any(shown.removeprefix("-").isdigit() for shown in exact)  # a label is in quotes


def _drift(recorded: Record | None, observed: Record, comparison: Comparison) -> float | None:
    """Return how far numbers moved at most; None if none can be compared."""
    stages = {difference.stage for difference in comparison.differences}
    if recorded is None or {"kind", "prompt"} & stages:
        return None
    moved: float | None = kind_of(recorded).movement(recorded, observed, comparison)
    return None if moved is None else _figure(moved)


def _largest(recorded: Record | None, observed: Record, comparison: Comparison) -> Difference | None:
    """Return the number that moved most, of a comparison in which a number differs."""
    found = [one for one in comparison.differences if one.stage == "numbers"]
    if recorded is None or not found:
        return None
    numbers = kind_of(recorded).numbers(recorded, observed)
    found += [Difference("numbers", what, before, now, position) for what, position, before, now in numbers]
    if recorded.arrays:
        from pytest_hfmodels.kinds.arrays import largest  # computes with NumPy

        found += filter(None, [largest(recorded.arrays, observed.arrays)])
    return max(found, key=_moved_by)


def _moved_by(found: Difference) -> float:
    moved = abs_diff(float(found.recorded), float(found.observed))
    return math.inf if math.isnan(moved) else moved


def _figure(value: float) -> float:
    return float(f"{value:.6g}")


def _side(record: Record, text: str | None, other: str | None) -> Side:
    shown = excerpt(text or "", other, TEXT)
    prompts = (given for given, _ in kind_of(record).inputs(record) if (text or "").startswith(given))
    given = max(0, len(max(prompts, key=len, default="")) - shown.start)
    return Side(replace(shown, given=min(given, len(shown.text))), plain(record.provenance), plain(record.checkpoint))


def _texts(recorded: Record | None, observed: Record) -> tuple[str, str | None, str]:
    """Return the name of the first text that differs, and both sides of it."""
    now = kind_of(observed).texts(observed)
    before = {} if recorded is None else kind_of(recorded).texts(recorded)
    differs = (name for name in now if name in before and now[name] != before[name])
    name = next(differs, next(iter(now)))
    return name, before.get(name, next(iter(before.values()), None)), now[name]


def _window(course: Course) -> Course:
    """Return at most STEPS parts: those around the divergence, or around the largest drift."""
    focus = course.divergence
    if focus is None:
        moved = [-1.0 if value is None else value for value in course.drift]
        focus = moved.index(max(moved)) if moved else 0
    count = max(len(course.recorded), len(course.observed))
    start = max(0, min(focus - STEPS // 2, count - STEPS))
    shown = slice(start, start + STEPS)
    return replace(
        course,
        recorded=course.recorded[shown],
        observed=course.observed[shown],
        drift=course.drift[shown],
        start=start,
    )


def _changed(course: Course | None) -> int:
    """Return how many decisions differ; an output that ends early or late counts."""
    if course is None or course.divergence is None:
        return 0
    pairs = zip_longest(course.recorded, course.observed)
    return sum(before is None or now is None or before.id != now.id for before, now in pairs)
