"""Finds the first part of the model whose output over the recorded input differs."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_hfmodels.kinds.comparison import largest_movement
from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds import Block

_QUIET = 2e-7, 0.05  # a block's fingerprint differs above this, and above this part of the largest difference
_SAME = 1e-8  # the precision of a fingerprint in a snapshot
# Measured on a Llama with thirty blocks: eager, sdpa and float64 differ by 8e-7, a twentieth of the noise floor.
_OF_FLOOR = 0.1
_CARRIED_ON = 1e-3  # of the largest difference: less may be rounding from earlier blocks
_JUMP = 20  # a block is at fault if its difference is this many times larger than any before it
_SHORTLY = "at or shortly before "


def largest(values: Sequence[float]) -> float:
    """Return the largest movement; NaN counts as infinite."""
    return math.inf if any(map(math.isnan, values)) else max(values, default=0.0)


def block_diff(before: Block, now: Block) -> float:
    """Return the difference of a block's output as a part of its size; infinite if it is not a number."""
    moved = max(abs(before.mean - now.mean), abs(before.rms - now.rms), abs(before.projection - now.projection) / 4)
    return math.inf if math.isnan(moved) else moved / max(before.rms, 1e-12)


class FirstDifference(NamedTuple):
    """The first block whose output differs (or None), by how much, and whether no earlier one may be at fault.

    The size is infinite if the blocks cannot be compared.
    """

    name: str | None
    size: float
    certain: bool = True


def first_block(recorded: Sequence[Block], observed: Sequence[Block], floor: float) -> FirstDifference:
    """Return the first block whose output differs, given fingerprints in order, and the noise floor (nats)."""
    names = [block.name for block in recorded]
    if names != [block.name for block in observed]:
        return FirstDifference(None, math.inf)
    pairs = list(zip(recorded, observed, strict=True))
    if not all(block.normalized for block in (*recorded, *observed)):
        sizes = [block_diff(before, now) for before, now in pairs]
        return _first_above(names, sizes, max(_QUIET[0], _QUIET[1] * _largest_finite(sizes)), math.inf)
    sizes = [largest([largest_movement(before.normalized, now.normalized)]) for before, now in pairs]
    rounding = _OF_FLOOR * floor
    return _first_above(names, sizes, max(rounding, _CARRIED_ON * _largest_finite(sizes)), rounding)


def _first_above(names: Sequence[str], sizes: Sequence[float], quiet: float, rounding: float) -> FirstDifference:
    """Return the first block that differs by more than `quiet`: less may be rounding, amplified by later blocks.

    `rounding` is the largest difference that rounding alone causes, or inf. If the first block that differs at all
    differs by more, that block is at fault. If it is unknown, a jump proves nothing.
    """
    first = next((index for index, size in enumerate(sizes) if not size <= _SAME), None)
    if first is not None and not sizes[first] <= rounding:
        return FirstDifference(names[first], sizes[first])
    index = next((index for index, size in enumerate(sizes) if not size <= quiet), None)
    if index is None:
        return FirstDifference(None, 0.0)
    before = max(sizes[:index], default=0.0)
    jumps = math.isfinite(rounding) and not sizes[index] < _JUMP * before
    return FirstDifference(names[index], sizes[index], before <= _SAME or jumps)


def _largest_finite(sizes: Sequence[float]) -> float:
    return max(filter(math.isfinite, sizes), default=0.0)


def where(recorded: Sequence[Block], observed: Sequence[Block], floor: float) -> tuple[str | None, list[Evidence]]:
    """Return the first part of the model whose output differs, with the evidence.

    Upstream takes its last hidden state after the final norm, so the last block stands for both.
    """
    if not recorded or not observed:
        return None, [Evidence("the block that differs is unknown: the model returns no hidden states")]
    if [block.name for block in recorded] != [block.name for block in observed] and len(recorded) == len(observed):
        said = "the block that differs is unknown: an earlier version recorded the snapshot with other block names"
        return None, [Evidence(said)]
    part = first_block(recorded, observed, floor)
    if part.name is None and math.isinf(part.size):
        return None, [Evidence(f"the model has {len(observed)} blocks, but {len(recorded)} were recorded")]
    if part.name is None:
        return "head", [Evidence("the output of every block is as recorded; the difference comes after the last block")]
    block, doubt = part.name, "" if part.certain else "; one of the blocks shortly before it may be at fault instead"
    said = f"the first block whose output differs is {block}, by {part.size:.2g} of its size{doubt}"
    if block == recorded[-1].name:
        block = f"{block} or final norm"
    return block if part.certain else f"{_SHORTLY}{block}", [Evidence(said, {"relative": part.size})]


def from_there_on(block: str | None) -> str:
    """Return a part of the model as the end of a sentence about the forward pass."""
    if block is None:
        return ""
    words = re.sub("((encoder |decoder )?(final norm|head|embeddings))$", r"the \1", block)
    return f", starting {words}" if block.startswith(_SHORTLY) else f", starting at {words}"


def moved_evidence(case: Case[Any], what: str, moved: float, **figures: float) -> Evidence:
    """Return how far numbers moved: against the test's tolerance, which decides the verdict, and the noise floor."""
    floor = "the noise floor" if case.then.noise_floor is None else "this model's noise floor"
    most = {"the tolerance": case.comparison.tolerance.absolute, floor: case.floor}
    sides = [f"{'within' if moved <= limit else 'beyond'} {name} of {limit:.2g}" for name, limit in most.items()]
    limits = {"noise_floor": case.floor, "tolerance": most["the tolerance"]}
    return Evidence(f"{what}: {' and '.join(sides)}", {"drift": float(moved), **figures, **limits})
