"""How far numbers may move: typed, by dtype, and by whether the same engine made both."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Two numbers agree when they differ by at most `absolute + relative * |recorded|`.

    Args:
        absolute: in the numbers' own unit (nats for log-probabilities).
        relative: of the recorded number.
    """

    absolute: float
    relative: float = 0.0

    def accepts(self, recorded: float, observed: float) -> bool:
        """Tell whether `observed` agrees with `recorded`; NaN agrees with nothing, infinities with themselves."""
        if math.isinf(recorded) or math.isinf(observed):
            return recorded == observed
        return abs(recorded - observed) <= self.absolute + self.relative * abs(recorded)


# Measured by benchmarks/noise_floor.py: the largest drift of log-probabilities between equally right computations
# (thread counts, cache on and off, batch of one and many, eager and sdpa; engines), rounded up. nats.
NOISE_FLOOR = {"same_engine": 2e-5, "cross_engine": 4e-5}

# An order of magnitude above the floor, so that another CPU's rounding passes, and two below any change worth a look.
_BY_DTYPE = {
    "float64": (Tolerance(1e-9), Tolerance(1e-6)),
    "float32": (Tolerance(1e-4), Tolerance(2e-4)),
    "float16": (Tolerance(2e-2), Tolerance(2e-2)),
    "bfloat16": (Tolerance(1e-1), Tolerance(1e-1)),
}


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


def tolerance_for(dtype: str, *, same_engine: bool) -> Tolerance:
    """Return the default tolerance for records of `dtype`, from one engine or from two."""
    same, cross = _BY_DTYPE.get(dtype, _BY_DTYPE["float32"])
    return same if same_engine else cross
