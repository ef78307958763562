"""Margin and drift over the steps of an output, as a small SVG drawing on a logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_hfmodels.kinds.base import Course

_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 394, 6, 132
_LOWEST = -9  # of the scale, a power of ten: float32 says nothing below
_TICKS = 5


@dataclass(frozen=True)
class Plot:
    """What the page draws: paths by CSS class, heights and words of the marks, and the figures in words."""

    lines: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[int, str], ...]
    divergence: int | None
    tolerance: int | None
    first: int
    last: int
    summary: str


def plot(course: Course, tolerance: float) -> Plot | None:
    """Return a drawing of the margins of both sides and of the drift, or None if there is nothing to draw."""
    series = _series(course)
    figures = [value for values in series.values() for value in values if value is not None and value > 0]
    if not figures:
        return None
    count = max(map(len, series.values()))
    low, high = _powers(figures, tolerance)

    def place(step: int) -> int:
        return round(_LEFT + (_RIGHT - _LEFT) * (step + 0.5) / count)

    def height(figure: float) -> int:
        power = min(max(math.log10(figure), low), high) if figure > 0 else low
        return round(_BOTTOM - (_BOTTOM - _TOP) * (power - low) / (high - low))

    def points(values: Sequence[float | None]) -> list[tuple[int, int] | None]:
        known = [None if value is None or value < 0 else value for value in values]
        return [None if value is None else (place(step), height(value)) for step, value in enumerate(known)]

    split = -1 if course.divergence is None else course.divergence - course.start
    powers = range(high, low - 1, -max(1, math.ceil((high - low) / _TICKS)))
    return Plot(
        lines=tuple((name, path) for name, values in series.items() if (path := "".join(_paths(points(values))))),
        ticks=tuple((height(10.0**power), f"1e{power}") for power in powers),
        divergence=place(split) if 0 <= split <= count else None,  # a report from elsewhere may name any token
        tolerance=height(tolerance) if tolerance > 0 else None,
        first=course.start + 1,
        last=course.start + count,
        summary=_summary(course, series, tolerance),
    )


def _powers(figures: Sequence[float], tolerance: float) -> tuple[int, int]:
    """Return the powers of ten that bound the drawing."""
    low = min(max(math.floor(math.log10(min([*figures, tolerance or 1]))), _LOWEST), 0)
    return low, max(math.ceil(math.log10(max([*figures, tolerance]))), low + 2)


def _series(course: Course) -> dict[str, list[float | None]]:
    found = {
        "margin": [part.margin for part in course.recorded],
        "now": [part.margin for part in course.observed],
        "drift": list(course.drift),
    }
    return {
        name: [value if value is not None and math.isfinite(value) else None for value in values]
        for name, values in found.items()
    }


def _paths(points: Sequence[tuple[int, int] | None]) -> Iterator[str]:
    """Yield a path for each run of points: the line is broken where there is no figure."""
    run: list[str] = []
    for point in [*points, None]:
        if point is not None:
            run.append(f"{point[0]} {point[1]}")
        elif run:
            yield f"M{run[0]}L{' '.join(run)}"  # a dot if the run is one point
            run = []


def _summary(course: Course, series: Mapping[str, Sequence[float | None]], tolerance: float) -> str:
    parts = []
    for words, name, choose in (
        ("smallest recorded margin", "margin", min),
        ("smallest margin now", "now", min),
        ("largest drift", "drift", max),
    ):
        known = [(value, step) for step, value in enumerate(series[name]) if value is not None]
        if known:
            value, step = choose(known)
            parts.append(f"{words} {value:.3g} at {course.unit} {course.start + step + 1}")
    return f"{', '.join(parts)}; tolerance {tolerance:.2g}"
