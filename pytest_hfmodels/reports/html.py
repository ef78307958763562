"""A run as one HTML file that needs nothing else, for people.

The details of a test are markup inside `noscript`: a browser without script shows them all, one with script builds
those that somebody opens, so that thousands of tests open at once.
"""

from __future__ import annotations

import base64
import math
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from markupsafe import Markup

from pytest_hfmodels.kinds.comparison import Passage
from pytest_hfmodels.reports import pages
from pytest_hfmodels.reports.plot import plot
from pytest_hfmodels.reports.summary import by_severity, overview
from pytest_hfmodels.results.describe import passages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.kinds.base import Course
    from pytest_hfmodels.results.model import Compared, Results, Side, TestResult

SIGNS = {"same": "✓", "drift": "≈", "near-tie": "~", "changed": "✗", "missing": "?", "broken": "!", "none": "○"}
_OPEN = 3  # of the gravest tests, opened from the start
_NEAR = 3  # tokens on each side of a divergence
_DETAILS = 2000  # characters of what pytest printed of a broken test
_PAGE = 8_000_000  # characters of details; a page with more takes long to open
_FULL = Markup("<p>The page is full: the JSON report (--hfmodels-json) has the rest.</p>\n")
_PATCH = 2_000_000  # bytes
_DRAWN = ("ids", "text")  # stages that have a table and texts of their own

# What made both sides: of what, recorded, now, whether they differ. The first says whether something was recorded.
_Rows: TypeAlias = "tuple[bool, tuple[tuple[str, str, str, bool], ...]]"


def render(results: Results, *, grid: Markup | None = None, patch: str = "") -> str:
    """Return the page. Whatever a model or a test says is shown as text.

    Args:
        results: what to show.
        grid: the last matrix of the project, as `grid_pages.grid_section` gives it.
        patch: what accepting would change; offered as a file if it is not too long for a page.
    """
    script = files("pytest_hfmodels.reports").joinpath("templates", "report.js").read_text(encoding="utf-8")
    data = patch.encode("utf-8", "surrogateescape")
    tests = by_severity(results.tests)
    environments: dict[_Rows, int] = {}
    page = pages.render(
        "report.html",
        script=Markup(script),
        script_digest=base64.b64encode(sha256(script.encode()).digest()).decode(),
        run=results.run,
        signs=SIGNS,
        overview=[(*row, urlencode({"verdict": row[0], "cause": row[1] or "none"})) for row in overview(tests)],
        causes=sorted({test.cause for test in tests if test.cause}),
        engines=sorted({test.engine for test in tests if test.engine}),
        tests=list(zip(tests, map(_drift, tests), _bodies(tests, environments), strict=True)),
        opened=[test.id for test in tests if test.verdict not in ("same", None)][:_OPEN],
        environments=environments,
        grid=grid,
        patch=base64.b64encode(data).decode() if 0 < len(data) <= _PATCH else "",
        patch_left_out=len(data) > _PATCH,
    )
    return str(page)


def _drift(test: TestResult) -> float | None:
    """Return the largest drift of a test, to sort by."""
    drifts = (found.drift for found in test.comparisons)
    return max((drift for drift in drifts if drift is not None and math.isfinite(drift)), default=None)


def _bodies(tests: Sequence[TestResult], environments: dict[_Rows, int]) -> Iterator[Markup]:
    """Yield the details of each test, as long as there is room."""
    room = _PAGE
    for test in tests:
        body = _FULL
        if room > 0:
            comparisons = [_comparison(found, environments) for found in test.comparisons]
            details = test.details[-_DETAILS:] if test.verdict == "broken" else ""
            body = pages.render("report_test.html", test=test, comparisons=comparisons, details=details)
            room -= len(body)
        yield body if room > 0 else _FULL


def _comparison(found: Compared, environments: dict[_Rows, int]) -> dict[str, Any]:
    made = found.recorded is not None, tuple(_environment(found))
    return {
        "about": found,
        "sides": _sides(found),
        "differences": [difference for difference in found.differences if difference.stage not in _DRAWN],
        "steps": _around_divergence(found.course),
        "plot": None if found.course is None else plot(found.course, found.tolerance),
        "moved": [row for row in made[1] if row[3] and found.recorded],
        "environment": environments.setdefault(made, len(environments) + 1),  # one table for all that share it
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


def _around_divergence(course: Course | None) -> range:
    """Return the places of the decisions to show."""
    if course is None or course.divergence is None:
        return range(0)
    split, count = course.divergence - course.start, max(len(course.recorded), len(course.observed))
    return range(max(0, split - _NEAR), min(count, split + _NEAR + 1))


def _environment(found: Compared) -> Iterator[tuple[str, str, str, bool]]:
    sides = [{} if side is None else _made_by(side) for side in (found.recorded, found.observed)]
    for what in dict.fromkeys([*sides[1], *sides[0]]):
        before, now = (side.get(what) or "–" for side in sides)
        yield what, before, now, before not in (now, "–")


def _made_by(side: Side) -> dict[str, str | None]:
    made, checkpoint = side.provenance, side.checkpoint
    named = ("engine", "implementation", "dtype", "attention", "device", "cpu")
    parts = ("origin", "revision", "weights", "config", "tokenizer", "preprocessor", "chat_template")
    return {
        **{name: getattr(made, name) for name in named},
        **dict(sorted(made.versions.items())),
        "checkpoint": checkpoint.name,
        **{part.replace("_", " "): digest for part in parts if (digest := getattr(checkpoint, part))},
    }
