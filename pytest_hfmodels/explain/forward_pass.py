"""Whether the forward pass over the recorded tokens differs, and in which part of the model the difference starts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain.final_norm import FINAL_NORM, apart, separate_final_norm
from pytest_hfmodels.explain.releases import moved_versions
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.tolerance import noise_floor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_hfmodels.kinds import Block, Record
    from pytest_hfmodels.kinds.tolerance import Tolerance

_QUIET = 2e-7, 0.05  # a block's fingerprint differs above this, and above this part of the largest difference
_SAME = 1e-8  # the precision of a fingerprint in a snapshot
# Measured on a Llama with thirty blocks: eager, sdpa and float64 differ by 8e-7, a twentieth of the noise floor.
_OF_FLOOR = 0.1
_CARRIED_ON = 1e-3  # of the largest difference: less may be rounding from earlier blocks
_JUMP = 20  # a block is at fault if its difference is this many times larger than any before it
_SHORTLY = "at or shortly before "
NOISE_FLOOR = noise_floor("float32", same_engine=True)  # nats


def largest(values: Sequence[float]) -> float:
    """Return the largest of some movements; one that is no number is larger than any."""
    return math.inf if any(map(math.isnan, values)) else max(values, default=0.0)


@dataclass(frozen=True)
class FirstDifference:
    """The first part of a model whose output differs.

    Args:
        name: the block's; None if no block differs.
        size: by how much its output differs.
        certain: False if a block before it may be at fault.
    """

    name: str | None
    size: float
    certain: bool = True


def first_block(recorded: Sequence[Block], observed: Sequence[Block], floor: float = NOISE_FLOOR) -> FirstDifference:
    """Return the first block whose output differs.

    Args:
        recorded: fingerprints, in the order of the forward pass.
        observed: the same, now.
        floor: the noise floor of log-probabilities.
    """
    if [block.name for block in recorded] != [block.name for block in observed]:
        return FirstDifference(None, math.inf)
    names = [block.name for block in recorded]
    if all(block.normalized for block in (*recorded, *observed)):
        sizes = [_normalized_apart(before, now) for before, now in zip(recorded, observed, strict=True)]
        return _first_above(
            names, sizes, max(_OF_FLOOR * floor, _CARRIED_ON * _largest_finite(sizes)), _OF_FLOOR * floor
        )
    sizes = [apart(before, now) for before, now in zip(recorded, observed, strict=True)]
    return _first_above(names, sizes, max(_QUIET[0], _QUIET[1] * _largest_finite(sizes)))


def _first_above(
    names: Sequence[str], sizes: Sequence[float], quiet: float, rounding: float = math.inf
) -> FirstDifference:
    """Return the first block that differs by more than `quiet`.

    Args:
        names: the blocks' names.
        sizes: the size of each block's difference.
        quiet: differences up to this size may be rounding, amplified by later blocks.
        rounding: the largest difference that rounding alone causes, if known. If the first block that differs at all
            differs by more, that block is at fault. If unknown, a jump proves nothing.
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


def _normalized_apart(before: Block, now: Block) -> float:
    return largest([abs(a - b) for a, b in zip(before.normalized, now.normalized, strict=True)])


def where(
    recorded: Sequence[Block],
    observed: Sequence[Block],
    model: Any,
    run: Callable[[], object],
    floor: float = NOISE_FLOOR,
) -> tuple[str | None, list[Evidence]]:
    """Return the first part of the model whose output differs, with the evidence.

    Args:
        recorded: fingerprints, in the order of the forward pass.
        observed: the same, now.
        model: upstream's.
        run: runs it again as for `observed`; called only if the last block is the first that differs.
        floor: the noise floor of log-probabilities.
    """
    if not recorded or not observed:
        return None, [Evidence("the block that differs is unknown: the model returns no hidden states")]
    part = first_block(recorded, observed, floor)
    block = part.name
    if block is None and math.isinf(part.size):
        return None, [Evidence(f"the model has {len(observed)} blocks, but {len(recorded)} were recorded")]
    if block is None:
        return "head", [Evidence("the output of every block is as recorded; the difference comes after the last block")]
    said = f"the first block whose output differs is {block}, by {part.size:.2g} of its size"
    if not part.certain:
        said = f"{said}; one of the blocks shortly before it may be at fault instead"
    told = [Evidence(said, {"relative": part.size})]
    if block == recorded[-1].name:
        block, more = separate_final_norm(recorded[-1], observed[-1], model, run)
        told += [] if more is None else [more]
    return block if part.certain or block == FINAL_NORM else f"{_SHORTLY}{block}", told


def from_there_on(block: str | None) -> str:
    """Return a part of the model as the end of a sentence about the forward pass."""
    if block is None:
        return ""
    words = re.sub("(final norm|head|embeddings)$", r"the \1", block)
    return f", starting {words}" if block.startswith(_SHORTLY) else f", starting at {words}"


def machine(recorded: Record, observed: Record) -> Iterator[str]:
    """Yield changes of engine, device and CPU."""
    then, now = recorded.provenance, observed.provenance
    for what in ("engine", "device", "cpu"):
        if getattr(then, what) != getattr(now, what):
            yield f"{what} {getattr(then, what)} -> {getattr(now, what)}"
    for package, (before, here) in moved_versions(recorded, observed).items():
        if package == now.engine:
            yield f"{package} {before} -> {here}"


def as_evidence(moved: Sequence[float], floor: float, tolerance: Tolerance, texts: Sequence[str]) -> Evidence:
    """Return how far the recorded tokens' log-probabilities have moved."""
    worst = max(range(len(moved)), key=lambda position: math.inf if math.isnan(moved[position]) else moved[position])
    return Evidence(
        f"the recorded tokens' log-probabilities moved by at most {moved[worst]:.2g}, at token {worst + 1} "
        f"{texts[worst]!r:.40}: {measured(moved[worst], floor, tolerance)}",
        {"drift": float(moved[worst]), "position": worst, "noise_floor": floor, "tolerance": tolerance.absolute},
    )


def measured(moved: float, floor: float, tolerance: Tolerance) -> str:
    """Compare a movement with the test's tolerance, which decides the verdict, and with the noise floor."""
    allowed, rounding = (f"{'within' if moved <= most else 'beyond'} the" for most in (tolerance.absolute, floor))
    return f"{allowed} tolerance of {tolerance.absolute:.2g} and {rounding} noise floor of {floor:.2g}"
