"""`compare(recorded, observed)`: pure, so that the same two records always get the same verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_hfmodels.kinds.base import Kind, Record
    from pytest_hfmodels.kinds.tolerance import Tolerance

    Pair = tuple[str, int | None, float, float]


PADDING_SIDE = "padding_side"  # of the tokenizer, among the settings of a record
# What a difference may be of, the most important for a reader first.
STAGES = (
    *("kind", "template", "prompt", "inputs", "settings", "structure"),
    *("ids", "beams", "labels", "numbers", "text"),
)


@dataclass(frozen=True)
class Passage:
    """A part of a text that differs, within its surroundings. `label` goes before it, such as a score."""

    before: str
    different: str
    after: str = ""
    label: str = ""


@dataclass(frozen=True)
class Detail:
    """One difference for a reader: both sides of a text, and sentences with its figures."""

    recorded: Passage
    observed: Passage
    title: str = ""
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Args:
        stage: one of `STAGES`.
        what: which part of it, for a reader.
        recorded: the snapshot's value.
        observed: the value now.
        position: index of the generated token, the input or the beam, where it has one.
        detail: both sides for a reader, in a report.
    """

    stage: str
    what: str
    recorded: Any
    observed: Any
    position: int | None = None
    detail: Detail | None = None


@dataclass(frozen=True)
class Comparison:
    """A verdict, what differs in the order of `STAGES`, and how far numbers moved.

    Args:
        verdict: any but `broken`.
        differences: the first is what a reader should look at.
        drift: the largest movement of a compared number at positions that have the same prefix, nats or logits.
        tolerance: what was allowed; of small numbers, at the first that is beyond it.
        notes: worth saying, failing nothing.
    """

    verdict: Verdict
    differences: tuple[Difference, ...]
    drift: float
    tolerance: Tolerance
    notes: tuple[str, ...] = ()


def compare(recorded: Record, observed: Record, tolerance: Tolerance) -> Comparison:
    """Compare a recorded snapshot with an observed record.

    Exact: effective settings and what the kind says differs (ids, labels, texts). Within `tolerance`: the numbers of
    the kind. Evidence (runner-ups, cutoff margins of beams, fingerprints) is not compared.

    Args:
        recorded: from the file.
        observed: from the engine, or from another file.
        tolerance: for numbers.
    """
    notes = tuple(_checkpoint_notes(recorded, observed))
    kind = kind_of(recorded)
    if observed.kind != recorded.kind:
        difference = Difference("kind", "kind of record", recorded.kind, observed.kind)
        return Comparison(Verdict.CHANGED, (difference,), 0.0, tolerance, notes)
    scaled = replace(tolerance, relative=tolerance.absolute * kind.relative)
    pairs = list(kind.numbers(recorded, observed))
    drift, numbers, allowed = _numbers(pairs, _by_scale(pairs, recorded, kind, scaled))
    found = [*_settings(recorded.effective, observed.effective), *kind.differences(recorded, observed), *numbers]
    if recorded.arrays or observed.arrays:
        from pytest_hfmodels.kinds.arrays import differences as of_arrays

        moved, arrays, least = of_arrays(recorded.arrays, observed.arrays, scaled)
        drift, found = moved if not moved <= drift else drift, [*found, *arrays]  # NaN stays
        allowed = min(allowed, least)
    differences = tuple(sorted(found, key=lambda difference: STAGES.index(difference.stage)))
    near_tie = kind.is_near_tie(recorded, observed, differences)
    tolerance = replace(tolerance, absolute=min(allowed, tolerance.absolute))
    return Comparison(_verdict(differences, near_tie=near_tie), differences, drift, tolerance, notes)


def first_divergence(recorded: Sequence[int], observed: Sequence[int]) -> int | None:
    """Return the index of the first token that differs (one past the end of the shorter counts), or None."""
    for position, (before, now) in enumerate(zip(recorded, observed, strict=False)):
        if before != now:
            return position
    return None if len(recorded) == len(observed) else min(len(recorded), len(observed))


def common_prefix(one: str, other: str) -> int:
    """Return with how many equal characters two texts begin."""
    return len(commonprefix([one, other]))  # noqa: RUF071 - of texts, not of paths


def abs_diff(before: float, now: float) -> float:
    """Return how far a number moved; equal infinities have not moved."""
    return 0.0 if before == now else abs(before - now)


def largest_movement(recorded: Iterable[float], observed: Iterable[float]) -> float:
    """Return the largest movement of as many numbers; NaN if one of them is."""
    moved = [abs_diff(before, now) for before, now in zip(recorded, observed, strict=True)]
    return math.nan if any(map(math.isnan, moved)) else max(moved, default=0.0)


def _verdict(differences: Sequence[Difference], *, near_tie: bool) -> Verdict:
    if not differences:
        return Verdict.SAME
    if all(difference.stage == "numbers" for difference in differences):
        return Verdict.DRIFT
    return Verdict.NEAR_TIE if near_tie else Verdict.CHANGED


def _by_scale(
    pairs: Sequence[Pair], recorded: Record, kind: Kind[Any], tolerance: Tolerance
) -> Callable[[str], Tolerance]:
    """Return what gives a number's tolerance, by its name: that for the largest recorded number of its scale."""
    if not kind.relative:
        return lambda _: tolerance
    sizes: dict[str, float] = {}
    for what, _, before, _ in pairs:
        if math.isfinite(before):
            scale = kind.scale(what, recorded)
            sizes[scale] = max(abs(before), sizes.get(scale, 0.0))
    return lambda what: tolerance.at(sizes.get(kind.scale(what, recorded), math.inf))


def _numbers(pairs: Iterable[Pair], tolerance_of: Callable[[str], Tolerance]) -> tuple[float, list[Difference], float]:
    """Return the largest drift, the first number of each name beyond its tolerance, and the least that was allowed."""
    drift, least = 0.0, math.inf
    first: dict[str, Difference] = {}
    for what, position, before, now in pairs:
        allowed = tolerance_of(what)
        moved = abs_diff(before, now)
        if not (moved <= drift or math.isnan(drift)):  # NaN stays: it is larger than any tolerance
            drift = moved
        if not (before == now or allowed.accepts(before, now)):
            first.setdefault(what, Difference("numbers", what, before, now, position))
            least = min(least, allowed.absolute)
    return drift, list(first.values()), least


def _settings(recorded: dict[str, Any], observed: dict[str, Any]) -> Iterator[Difference]:
    for name in sorted({*recorded, *observed}):
        before, now = recorded.get(name), observed.get(name)
        if before != now or isinstance(before, bool) != isinstance(now, bool):  # 0 == False
            yield Difference("settings", name, before, now)


def _checkpoint_notes(recorded: Record, observed: Record) -> Iterator[str]:
    from pytest_hfmodels.checkpoints import same_content  # only for records that differ

    changed = []
    for part in ("weights", "config", "tokenizer", "preprocessor", "chat_template"):
        before, now = getattr(recorded.checkpoint, part), getattr(observed.checkpoint, part)
        same = before == now or (same_content(before, now) if before and now else None)
        if same is False:
            changed.append(part)
        elif same is None and before and now:  # an adopted model's, in two releases or dtypes
            yield f"the checkpoint's {part} cannot be compared"
    if "chat_template" in changed and "tokenizer" in changed:  # whose digest covers the template, if it is in its files
        changed.remove("tokenizer")
        changed.remove("chat_template")
        yield "the checkpoint's chat template changed; other tokenizer files may have changed, too"
    yield from (f"the checkpoint's {part.replace('_', ' ')} changed" for part in changed)
    before, now = recorded.checkpoint.overrides, observed.checkpoint.overrides
    if before != now:  # files of earlier versions keep none
        yield f"the test's overrides of the configuration: {before or 'none recorded'} -> {now or 'none'}"
