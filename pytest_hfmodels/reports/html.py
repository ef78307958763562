"""A run as one HTML file that needs nothing else, for people.

The details of a test are markup inside `noscript`: a browser without script shows them all, one with script builds
those that somebody opens, so that thousands of tests open at once.
"""

from __future__ import annotations

import base64
import math
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from markupsafe import Markup

from pytest_hfmodels.kinds.comparison import Passage
from pytest_hfmodels.reports import pages
from pytest_hfmodels.reports.plot import plot
from pytest_hfmodels.reports.summary import by_severity, overview
from pytest_hfmodels.results.describe import passages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.base import Course, Part
    from pytest_hfmodels.results.model import Compared, Results, Side, TestResult

SIGNS = {"same": "✓", "drift": "≈", "near-tie": "~", "changed": "✗", "missing": "?", "broken": "!", "none": "○"}
_OPEN = 3  # of the gravest tests, opened from the start
_NEAR = 3  # tokens on each side of a divergence
_DETAILS = 2000  # characters of what pytest printed of a broken test
_PAGE = 8_000_000  # characters of details; a page with more takes long to open
_FULL = Markup("<p>The page is full: the JSON report (--hfmodels-json) has the rest.</p>\n")
_PATCH = 2_000_000  # bytes
_DRAWN = ("ids", "text")  # stages that have a table and texts of their own


def render(results: Results, *, grid: Markup | None = None, patch: str = "") -> str:
    """Return the page. Whatever a model or a test says is shown as text.

    Args:
        results: what to show.
        grid: the last matrix of the project, as `grid_html.grid_section` gives it.
        patch: what accepting would change; offered as a file if it is not too long for a page.
    """
    script = files("pytest_hfmodels.reports").joinpath("templates", "report.js").read_text(encoding="utf-8")
    data = patch.encode("utf-8", "surrogateescape")
    tests, environments = by_severity(results.tests), _Environments()
    page = pages.render(
        "report.html",
        script=Markup(script),
        script_digest=base64.b64encode(sha256(script.encode()).digest()).decode(),
        run=results.run,
        count=len(tests),
        signs=SIGNS,
        overview=[(*row, _fragment(row[0], row[1])) for row in overview(tests)],
        causes=sorted({test.cause for test in tests if test.cause}),
        engines=sorted({test.engine for test in tests if test.engine}),
        tests=list(zip(map(_row, tests), _bodies(tests, environments), strict=True)),
        opened=[test.id for test in tests if test.verdict not in ("same", None)][:_OPEN],
        environments=environments.found,
        grid=grid,
        patch=base64.b64encode(data).decode() if 0 < len(data) <= _PATCH else "",
        patch_left_out=len(data) > _PATCH,
    )
    return str(page)


def _fragment(verdict: str, cause: str | None) -> str:
    return urlencode({"verdict": verdict, "cause": cause or "none"})


def _row(test: TestResult) -> dict[str, Any]:
    drifts = [found.drift for found in test.comparisons if found.drift is not None and math.isfinite(found.drift)]
    verdict = test.verdict or "none"
    return {
        "about": test,
        "verdict": verdict,
        "word": test.outcome if verdict == "none" else verdict,
        "drift": max(drifts, default=None),
    }


def _bodies(tests: Sequence[TestResult], environments: _Environments) -> Iterator[Markup]:
    room = _PAGE
    for test in tests:
        if room <= 0:
            yield _FULL
            continue
        comparisons = [_comparison(found, environments) for found in test.comparisons]
        details = test.details[-_DETAILS:] if test.verdict == "broken" else ""
        body = pages.render("report_test.html", test=test, comparisons=comparisons, details=details)
        room -= len(body)
        yield body if room > 0 else _FULL


def _comparison(found: Compared, environments: _Environments) -> dict[str, Any]:
    rows = list(_environment(found))
    return {
        "about": found,
        "sides": _sides(found),
        "differences": [difference for difference in found.differences if difference.stage not in _DRAWN],
        "tokens": [] if found.course is None else list(_tokens(found.course)),
        "plot": None if found.course is None else plot(found.course, found.tolerance),
        "moved": [row for row in rows if row[3]] if found.recorded else [],
        "environment": environments.number(rows, recorded=found.recorded is not None),
    }


def _sides(found: Compared) -> list[tuple[int, Passage, int] | None]:
    """Return both sides, or one if they are equal: characters left out before, the text, and those left out after."""
    now = found.observed.text
    if found.recorded is None:
        return [None, (now.start, Passage(now.text, ""), now.end)]
    before = found.recorded.text
    if before == now:
        return [(now.start, Passage(now.text, ""), now.end)]
    sides = zip((before, now), passages(before.text, now.text), strict=True)
    return [(excerpt.start, passage, excerpt.end) for excerpt, passage in sides]


def _tokens(course: Course) -> Iterator[dict[str, Any]]:
    """Yield the decisions on both sides around a divergence."""
    if course.divergence is None:
        return
    split = course.divergence - course.start
    last = min(max(len(course.recorded), len(course.observed)), split + _NEAR + 1)
    for place in range(max(0, split - _NEAR), last):
        sides = [_token(parts[place]) if place < len(parts) else None for parts in (course.recorded, course.observed)]
        yield {"number": course.start + place + 1, "here": place == split, "sides": sides}


def _token(part: Part) -> dict[str, Any]:
    return {
        "text": part.text.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣"),
        "id": "–" if part.id is None else part.id,
        "log_probability": _figure(part.log_probability),
        "margin": _figure(part.margin),
    }


def _figure(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


class _Environments:
    """The tables of what made both sides: one for all tests that share it."""

    def __init__(self) -> None:
        self.found: list[tuple[bool, list[tuple[str, str, str, bool]]]] = []

    def number(self, rows: list[tuple[str, str, str, bool]], *, recorded: bool) -> int:
        if (recorded, rows) not in self.found:
            self.found.append((recorded, rows))
        return self.found.index((recorded, rows)) + 1


def _environment(found: Compared) -> Iterator[tuple[str, str, str, bool]]:
    """Yield what made both sides: of what, recorded, now, whether they differ."""
    sides = [{} if side is None else _made_by(side) for side in (found.recorded, found.observed)]
    for what in dict.fromkeys([*sides[1], *sides[0]]):
        before, now = (side.get(what) or "–" for side in sides)
        yield what, before, now, before not in (now, "–")


def _made_by(side: Side) -> dict[str, str | None]:
    made, checkpoint = side.provenance, side.checkpoint
    named = ("engine", "implementation", "dtype", "attention", "device", "cpu")
    parts = ("origin", "revision", "weights", "config", "tokenizer")
    return {
        **{name: getattr(made, name) for name in named},
        **dict(sorted(made.versions.items())),
        "checkpoint": checkpoint.name,
        **{part: getattr(checkpoint, part) for part in parts},
    }
