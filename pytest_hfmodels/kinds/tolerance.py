"""How far numbers may move: typed, by dtype and engine; and decisions that are closer than numbers are certain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_hfmodels.kinds.explanation import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.kinds.base import Record
    from pytest_hfmodels.kinds.provenance import Provenance


@dataclass(frozen=True)
class Tolerance:
    """Two numbers agree when they differ by at most `absolute + relative * |recorded|`.

    Args:
        absolute: in the numbers' own unit (nats for log-probabilities).
        relative: of the recorded number.
        least: the part of `absolute` that is allowed where all numbers are tiny; 1 for what a test or project sets.
    """

    absolute: float
    relative: float = 0.0
    least: float = 1.0

    def at(self, size: float) -> Tolerance:
        """Return the tolerance among numbers of at most this size: all of it from 0.1 on, and less below.

        A learning rate of 5e-5, or a quiet sound, may otherwise double unseen.
        """
        return replace(self, absolute=self.absolute * min(1.0, max(self.least, size / _SMALL)), least=1.0)

    def accepts(self, recorded: float, observed: float) -> bool:
        """Return whether `observed` agrees with `recorded`; NaN agrees with nothing, infinities with themselves."""
        if math.isinf(recorded) or math.isinf(observed):
            return recorded == observed
        return abs(recorded - observed) <= self.absolute + self.relative * abs(recorded)


# Measured by benchmarks/noise_floor.py: the largest drift of log-probabilities between equally right computations
# (thread counts, cache on and off, batch of one and many, eager and sdpa; engines), rounded up. nats. It holds for
# records whose own floor was not measured, and is the least that a measured one may be.
NOISE_FLOOR = {"same_engine": 2e-5, "cross_engine": 4e-5}

# An order of magnitude above the floor, so that another CPU's rounding passes, and two below any change worth a look.
_BY_DTYPE = {"float64": (1e-9, 1e-6), "float32": (1e-4, 2e-4), "float16": (2e-2, 2e-2), "bfloat16": (1e-1, 1e-1)}
_SMALL = 0.1  # numbers below this may move by less than the tolerance
_LEAST = 0.05  # of the tolerance, which rounding reaches in a small number that larger ones cancel out to
_OF_MEASURED = 2.5  # of a measured floor: a margin is the difference of two numbers, which move by a floor each
_MOST = 20  # of the dtype's own floor: what large weights and half precision reach; a file states no more


def tolerance_for(dtype: str, *, same_engine: bool) -> Tolerance:
    """Return the default tolerance for records of `dtype`, from one engine or from two."""
    same, cross = _BY_DTYPE.get(dtype, _BY_DTYPE["float32"])
    return Tolerance(same if same_engine else cross, least=_LEAST)


def noise_floor(*dtypes: str, same_engine: bool) -> float:
    """Return how far log-probabilities move between equally right computations, nats.

    Measured for float32; the floor of another dtype stands to its tolerance as float32's does.

    Args:
        dtypes: the dtypes of both sides; the finest counts, as for the tolerance.
        same_engine: whether one engine made both.
    """
    measured = NOISE_FLOOR["same_engine" if same_engine else "cross_engine"]
    scale = min(tolerance_for(dtype, same_engine=same_engine).absolute for dtype in dtypes)
    return measured * scale / tolerance_for("float32", same_engine=same_engine).absolute


def largest_floor(dtype: str) -> float:
    """Return the largest noise floor that a file may state: with a larger one it would compare nothing."""
    return _rounded_up(_MOST * noise_floor(dtype, same_engine=True))


def stated_floor(moved: Sequence[float], dtype: str, exact: Sequence[float] = ()) -> float | None:
    """Return the noise floor that a file states, with one digit, rounded up.

    It is at least the dtype's own, because few numbers may by chance move little, and at most `largest_floor`.

    Args:
        moved: how far other computations moved numbers. What is no rounding is left out.
        dtype: of the numbers.
        exact: how far float64 moved them, if it was tried; that is rounding for sure.

    Returns:
        None if nothing was measured: no computation moved a number.
    """
    found, exact = sorted(filter(math.isfinite, moved)), [*filter(math.isfinite, exact)]
    while is_doubtful(found, dtype, exact):
        found.pop()
    largest = max((*found, *exact), default=0.0)
    least, most = noise_floor(dtype, same_engine=True), largest_floor(dtype)
    return min(most, _rounded_up(max(least, largest))) if largest else None


def is_doubtful(moved: Sequence[float], dtype: str, exact: Sequence[float] = ()) -> bool:
    """Return whether one computation may be wrong.

    It moves numbers further than the dtype's tolerance, and ten times further than each other one and than float64.
    """
    *others, most = sorted((0.0, 0.0, *moved))
    return most > max(tolerance_for(dtype, same_engine=True).absolute, 10 * max((*others, *exact)))


def _rounded_up(value: float) -> float:
    """Return a number with one digit, rounded up."""
    exponent = math.floor(math.log10(value))
    return float(f"{math.ceil(round(value / 10**exponent, 6))}e{exponent}")


def tolerance_of(recorded: Provenance, observed: Provenance, *, same_engine: bool) -> Tolerance:
    """Return the default tolerance for a pair: by the recorded side's measured floor, or else by dtype.

    If the dtypes differ, the tighter tolerance counts.
    """
    found = tolerance_for(recorded.dtype, same_engine=same_engine)
    if recorded.noise_floor is not None:
        found = replace(found, absolute=_OF_MEASURED * _floor(recorded, same_engine=same_engine))
    if observed.dtype != recorded.dtype:
        other = tolerance_for(observed.dtype, same_engine=same_engine)
        found = min(found, other, key=lambda one: one.absolute)
    return found


def floor_of(recorded: Record, observed: Record) -> float:
    """Return the noise floor for this pair."""
    then, now = recorded.provenance, observed.provenance
    return _pair_floor(then, now, same_engine=then.engine == now.engine)


def floor_of_tie(recorded: Record, observed: Record) -> float:
    """Return the noise floor for a tie: that of the finer dtype, and within an engine for numbers from torch.

    A file must not turn a change into a tie by what it claims. `assertion` does the same for the tolerance.
    """
    then, now = recorded.provenance, observed.provenance
    same_engine = now.engine == "torch" or then.engine == now.engine
    return _pair_floor(then, now, same_engine=same_engine)


def _pair_floor(recorded: Provenance, observed: Provenance, *, same_engine: bool) -> float:
    """Return the floor of a pair; of two dtypes the finer one counts."""
    found = _floor(recorded, same_engine=same_engine)
    if observed.dtype == recorded.dtype:
        return found
    return min(found, noise_floor(recorded.dtype, observed.dtype, same_engine=same_engine))


def _floor(side: Provenance, *, same_engine: bool) -> float:
    """Return the measured floor of a record, or its dtype's; between engines numbers move further."""
    own = noise_floor(side.dtype, same_engine=same_engine)
    if side.noise_floor is None:
        return own
    return side.noise_floor * (own / noise_floor(side.dtype, same_engine=True))  # a tiny one times `own` would be 0


@dataclass(frozen=True)
class Tie:
    """How close a decision was that fell the other way, and how far numbers have moved up to it.

    Args:
        position: of the token, or of the classifier's input.
        drift: the largest movement of a number up to the decision.
        floor: the noise floor.
        margin: the recorded margin of the decision.
        gap: the margin with which it now falls the other way.
    """

    position: int
    drift: float
    floor: float
    margin: float
    gap: float

    @property
    def proven(self) -> bool:
        """Whether rounding alone can have turned the decision: nothing larger has moved, and nothing larger had to."""
        figures = (self.drift / self.floor, self.margin / (2 * self.floor), abs(self.gap) / (2 * self.floor))
        return all(0 <= figure <= 1 for figure in figures)  # NaN is neither

    @property
    def evidence(self) -> Evidence:
        """The figures that prove it or disprove it."""
        word = "it is a near-tie" if self.proven else "it is not a near-tie"
        return Evidence(
            f"{word}: recorded by a margin of {self.margin:.2g} and now the other way by {self.gap:.2g} "
            f"(a near-tie has at most {2 * self.floor:.2g}); numbers up to it moved by at most {self.drift:.2g} "
            f"(noise floor {self.floor:.2g})",
            {"margin": self.margin, "gap": self.gap, "drift": self.drift, "noise_floor": self.floor},
        )


def all_proven(ties: Sequence[Tie]) -> bool:
    """Return whether rounding alone can have turned all of these decisions; False without any."""
    return bool(ties) and all(tie.proven for tie in ties)
