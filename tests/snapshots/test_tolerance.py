from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_hfmodels.kinds.tolerance import floor_of, floor_of_tie, noise_floor, stated_floor, tolerance_of
from pytest_hfmodels.snapshots import NOISE_FLOOR, Tolerance, tolerance_for

from ..example_records import generation, provenance

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


@pytest.mark.parametrize(
    ("moved", "stated"),
    [
        ([], None),
        ([NAN, INFINITE], None),
        ([0.0, 0.0], None),
        ([0.0, 1e-9], 2e-5),
        ([1e-6, 3e-6], 2e-5),
        ([2.1e-5, 1e-6], 3e-5),
        ([3e-5], 3e-5),
        ([9.1e-5, 0.0], 1e-4),
        ([0.0, 2e-4, 3e-4], 3e-4),
        ([2e-3, 1e-6], 2e-5),  # no rounding: another attention kernel that is wrong
        ([5e-4, 1e-5], 2e-5),  # the same, less plainly
        ([5e-3, 6e-3], 4e-4),  # large weights: no file may state more
    ],
)
def test_a_stated_floor_has_one_digit_and_leaves_out_what_is_no_rounding(
    moved: list[float], stated: float | None
) -> None:
    assert stated_floor(moved, "float32") == stated


@pytest.mark.parametrize(
    ("moved", "exact", "stated"), [(2e-4, 1e-6, 2e-5), (2e-4, 3e-5, 2e-4), (0.0, 2e-4, 2e-4), (0.0, NAN, None)]
)
def test_float64_confirms_a_movement_that_stands_alone(moved: float, exact: float, stated: float | None) -> None:
    assert stated_floor([moved], "float32", [exact]) == stated


def test_the_tolerance_follows_a_measured_floor() -> None:
    then, now = provenance(dtype="bfloat16"), provenance(dtype="bfloat16")
    measured = replace(then, noise_floor=0.3)

    assert tolerance_of(then, now, same_engine=True) == tolerance_for("bfloat16", same_engine=True)
    assert 0.3 < tolerance_of(measured, now, same_engine=True).absolute < 3 * 0.3
    fine = provenance(dtype="float32")
    assert tolerance_of(measured, fine, same_engine=True) == tolerance_for("float32", same_engine=True)


def test_near_ties_follow_a_measured_floor() -> None:
    then, now = generation(), generation()
    measured = replace(then, provenance=replace(then.provenance, noise_floor=3e-4))

    assert floor_of(then, now) == floor_of_tie(then, now) == NOISE_FLOOR["same_engine"]
    assert floor_of(measured, now) == floor_of_tie(measured, now) == 3e-4
    other = generation(engine="tensorflow")
    assert floor_of(measured, other) == 6e-4
    smallest = replace(then, provenance=replace(then.provenance, noise_floor=5e-324))
    assert floor_of(smallest, now) == 5e-324  # not 0, which nothing can be divided by
    coarse = replace(now, provenance=replace(now.provenance, dtype="bfloat16"))
    assert floor_of(measured, coarse) == NOISE_FLOOR["same_engine"]
