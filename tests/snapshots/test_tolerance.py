from __future__ import annotations

import math

import pytest

from pytest_hfmodels.kinds.tolerance import noise_floor
from pytest_hfmodels.snapshots import NOISE_FLOOR, Tolerance, tolerance_for

INFINITE, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("recorded", "observed", "accepted"),
    [
        (1.0, 1.0, True),
        (1.0, 1.125, True),
        (1.0, 0.875, True),
        (1.0, 1.1250001, False),
        (INFINITE, INFINITE, True),
        (-INFINITE, -INFINITE, True),
        (INFINITE, -INFINITE, False),
        (INFINITE, 1.0, False),
        (1.0, INFINITE, False),
        (NAN, NAN, False),
        (1.0, NAN, False),
        (NAN, 1.0, False),
    ],
)
def test_numbers_agree_within_an_absolute_tolerance(recorded: float, observed: float, accepted: bool) -> None:
    assert Tolerance(0.125).accepts(recorded, observed) is accepted


def test_a_tolerance_may_be_relative_to_the_recorded_number_or_zero() -> None:
    assert Tolerance(0.0, relative=0.5).accepts(-8.0, -12.0)
    assert not Tolerance(0.0, relative=0.5).accepts(-8.0, -12.5)
    assert Tolerance(1.0, relative=0.5).accepts(8.0, 13.0)
    assert Tolerance(0.0).accepts(0.1, 0.1)
    assert not Tolerance(0.0).accepts(0.1, math.nextafter(0.1, 1))


def test_coarser_dtypes_and_two_engines_have_wider_tolerances() -> None:
    names = ("float64", "float32", "float16", "bfloat16")
    one, two = ([tolerance_for(name, same_engine=same).absolute for name in names] for same in (True, False))

    assert one == sorted(one)
    assert all(0 < narrow <= wide for narrow, wide in zip(one, two, strict=True))
    assert tolerance_for("float8", same_engine=True) == tolerance_for("float32", same_engine=True)


def test_rounding_that_was_measured_passes() -> None:
    for name, same in (("same_engine", True), ("cross_engine", False)):
        assert NOISE_FLOOR[name] < tolerance_for("float32", same_engine=same).absolute


@pytest.mark.parametrize("coarse", ["float16", "bfloat16"])
def test_the_finer_dtype_s_noise_floor_counts(coarse: str) -> None:
    fine = noise_floor("float32", same_engine=True)

    assert noise_floor("float32", coarse, same_engine=True) == noise_floor(coarse, "float32", same_engine=True) == fine
    assert noise_floor(coarse, same_engine=True) > fine
