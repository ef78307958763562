"""Margin and drift over the steps of an output, as a small SVG drawing on a logarithmic scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_hfmodels.kinds.base import Course

WIDTH, HEIGHT = 400, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 394, 6, 132
_LOWEST = -9  # of the scale, a power of ten: float32 says nothing below
_TICKS = 5


@dataclass(frozen=True)
class Plot:
    """What the page draws.

    Args:
        lines: a CSS class, the path's data, for each series; whole numbers and relative, for pages of many plots.
        grid: a path through all marks of the scale.
        ticks: height and words of the scale's marks.
        divergence: where on the horizontal axis the sides diverge, or None.
        tolerance: its height, or None where it is off the scale.
        first: number of the first step drawn.
        last: number of the last one.
        summary: the figures in words, for who cannot see the drawing.
    """

    lines: tuple[tuple[str, str], ...]
    grid: str
    ticks: tuple[tuple[int, str], ...]
    divergence: int | None
    tolerance: int | None
    first: int
    last: int
    summary: str


def plot(course: Course, tolerance: float, *, most: int) -> Plot | None:
    """Return a drawing, or None where there is nothing to draw.

    Args:
        course: the figures.
        tolerance: a line to hold the drift against.
        most: points of a series; those around the divergence are taken.
    """
    series = _series(course)
    count = max(map(len, series.values()))
    focus = 0 if course.divergence is None else course.divergence - course.start
    start = max(0, min(focus - most // 2, count - most))
    series = {name: values[start : start + most] for name, values in series.items()}
    drawn = max(map(len, series.values()))
    figures = [figure for values in series.values() for figure in values if figure is not None and figure > 0]
    if not figures:
        return None
    low, high = _range([*figures, tolerance])
    scale = _Scale(low, high, drawn)
    inside = course.divergence is not None and 0 <= focus - start < drawn
    return Plot(
        lines=tuple((name, path) for name, values in series.items() if (path := "".join(scale.path(values)))),
        grid="".join(f"M{_LEFT} {scale.height(10.0**power)}H{_RIGHT}" for power in _powers(low, high)),
        ticks=tuple((scale.height(10.0**power), f"1e{power}") for power in _powers(low, high)),
        divergence=scale.place(focus - start) if inside else None,
        tolerance=scale.height(tolerance) if tolerance > 0 else None,
        first=course.start + start + 1,
        last=course.start + start + drawn,
        summary=_summary(course, tolerance),
    )


def _series(course: Course) -> dict[str, list[float | None]]:
    return {
        "margin": _drawable(part.margin for part in course.recorded),
        "now": _drawable(part.margin for part in course.observed),
        "drift": _drawable(course.drift),
    }


def _drawable(values: Iterable[float | None]) -> list[float | None]:
    return [value if value is not None and math.isfinite(value) else None for value in values]


@dataclass(frozen=True)
class _Scale:
    low: int
    high: int
    count: int

    def place(self, step: int) -> int:
        return round(_LEFT + (_RIGHT - _LEFT) * (step + 0.5) / self.count)

    def height(self, figure: float) -> int:
        power = min(max(math.log10(figure), self.low), self.high) if figure > 0 else self.low
        return round(_BOTTOM - (_BOTTOM - _TOP) * (power - self.low) / (self.high - self.low))

    def path(self, values: Sequence[float | None]) -> Iterator[str]:
        """Yield the points; the line is broken where there is no figure, or one that no logarithm has."""
        last: tuple[int, int] | None = None
        for step, value in enumerate(values):
            if value is None or value < 0:
                last = None
                continue
            x, y = self.place(step), self.height(value)
            if last is None:
                yield f"M{x} {y}l0 0"  # a dot, should nothing follow
            else:
                right, down = x - last[0], y - last[1]
                yield f" {right}{down}" if down < 0 else f" {right} {down}"
            last = x, y


def _range(figures: Sequence[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(figure for figure in figures if figure > 0)))
    high = math.ceil(math.log10(max(figures)))
    low = min(max(low, _LOWEST), 0)
    return low, max(high, low + 2)


def _powers(low: int, high: int) -> range:
    return range(high, low - 1, -max(1, math.ceil((high - low) / _TICKS)))


def _summary(course: Course, tolerance: float) -> str:
    told, series = [], _series(course)
    for name, values, wanted in (
        ("smallest recorded margin", series["margin"], min),
        ("smallest margin now", series["now"], min),
        ("largest drift", series["drift"], max),
    ):
        known = [(value, step) for step, value in enumerate(values) if value is not None]
        if known:
            value, step = wanted(known)
            told.append(f"{name} {value:.3g} at {course.unit} {course.start + step + 1}")
    return f"{', '.join(told)}; tolerance {tolerance:.2g}" if told else ""
