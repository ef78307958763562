"""A run as one HTML file that needs nothing else, for people.

The details of a test are markup inside `noscript`: a browser without script shows them all, one with script builds
those that somebody opens, so that thousands of tests open at once.
"""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from markupsafe import Markup

from pytest_hfmodels.reports import pages
from pytest_hfmodels.reports.plot import plot
from pytest_hfmodels.reports.summary import Summary, by_severity, moved, overview, relabelled
from pytest_hfmodels.reports.words import around
from pytest_hfmodels.reports.words import sides as word_sides
from pytest_hfmodels.results.carried import pack
from pytest_hfmodels.results.deciding import accept_command, review_command
from pytest_hfmodels.results.remedies import moved_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_hfmodels.kinds.base import Course
    from pytest_hfmodels.reports.words import Piece
    from pytest_hfmodels.results.model import Compared, Results, Run, Side, TestResult

SIGNS = {"same": "✓", "drift": "≈", "near-tie": "~", "changed": "✗", "missing": "?", "broken": "!", "none": "○"}
_CAUSES = 3  # that are not folded
_TEXTS, _ROWS, _NAMED = 20, 50, 20  # of the summary, above the list of all tests
_BEFORE, _AFTER = 200, 600  # characters of a text in the summary, around the first difference
_NEAR = 3  # tokens on each side of a divergence
_PRINTED = 2000  # characters of what pytest printed of a broken test
_PAGE = 16_000_000  # characters; a page with more takes long to open
_LISTED = 800  # of them for a test in the list
_DETAILED = 8_000_000  # at most of details
_FULL = Markup("<p>The page is full: the JSON report (--hfmodels-json) has the rest.</p>\n")
_PATCH = 2_000_000  # bytes
_CHANGES = 4_000_000  # characters of the pending changes, packed
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
    summary, changes = Summary(results.tests, results.run), pack(results)
    if len(changes) > _CHANGES:
        changes = pack(results, arrays=False)
    fit = len(changes) <= _CHANGES
    run = results.run if fit else replace(results.run, page="")  # else the page's commands would find nothing in it
    tests = by_severity(results.tests)
    environments: dict[_Rows, int] = {}
    room = min(_DETAILED, _PAGE - len(grid or "") - len(changes) - _LISTED * len(tests))
    page = pages.render(
        "report.html",
        script=Markup(script),
        script_digest=base64.b64encode(sha256(script.encode()).digest()).decode(),
        run=run,
        source=run.source,
        versions=_moved_versions(results),
        signs=SIGNS,
        causes_open=_CAUSES,
        review=review_command((one for _, one in summary.differing), run),
        **outputs(summary, accept=lambda one: accept_command(one, run), anchor=anchor),
        new=summary.new[:_NAMED],
        broken=summary.broken[:_NAMED],
        overview=overview(tests),
        causes=sorted({test.cause for test in tests if test.cause}),
        engines=sorted({test.engine for test in tests if test.engine}),
        tests=list(zip(tests, map(_drift, tests), _bodies(tests, environments, run, room), strict=True)),
        environments=environments,
        grid=grid,
        patch=base64.b64encode(data).decode() if 0 < len(data) <= _PATCH else "",
        patch_left_out=len(data) > _PATCH,
        changes=changes if fit else "",
        changes_left_out=not fit,
    )
    return str(page)


def outputs(
    summary: Summary,
    *,
    accept: Callable[[Compared], str] = lambda _: "",
    anchor: Callable[[TestResult], str] | None = None,
) -> dict[str, Any]:
    """Return the values for `outputs.html`, which shows changed and drifted outputs.

    Args:
        summary: of the tests.
        accept: returns the command that accepts one, or nothing.
        anchor: returns the part of the page's address that leads to a test; None if the page has no tests.
    """
    changed = [(*pair, _around(pair[1]), relabelled(pair[1]), accept(pair[1])) for pair in summary.changed[:_TEXTS]]
    drifted = [(test, most) for test, found in summary.drifted[:_ROWS] if (most := moved(found)) is not None]
    return {"summary": summary, "changed": changed, "drifted": drifted, "anchor": anchor, "made_with": made_with}


def anchor(test: TestResult) -> str:
    """Return the part of the page's address that leads to a test; the same in every run."""
    return f"t-{sha256(test.id.encode(errors='surrogatepass')).hexdigest()[:12]}"


def made_with(found: Compared, side: str) -> str:
    """Return ` (transformers 4.57.6)`, the release that made one side of a comparison, `recorded` or `observed`."""
    made: Side | None = getattr(found, side)
    version = None if made is None else made.provenance.versions.get("transformers")
    return f" (transformers {version})" if version else ""


def _moved_versions(results: Results) -> dict[str, str]:
    """Return the versions of the run's packages; of one that has moved since recording, both: `4.49.0 → 5.23.0`."""
    pairs: dict[str, set[tuple[str, str]]] = {}
    for test in results.tests:
        for found in test.comparisons:
            for name, then, now in moved_packages(found):
                pairs.setdefault(name, set()).add((then, now))
    both = {name: " → ".join(next(iter(found))) for name, found in pairs.items() if len(found) == 1}
    return {**results.run.versions, **both}


def _around(found: Compared) -> list[tuple[Piece, ...]] | None:
    """Return both texts around the first difference; None if the texts are equal."""
    before, now = word_sides(found)
    if before is None or found.recorded is None or found.recorded.text == found.observed.text:
        return None
    return [around(side, _BEFORE, _AFTER) for side in (before, now)]


def _drift(test: TestResult) -> float | None:
    """Return the largest drift of a test, to sort by."""
    drifts = (found.drift for found in test.comparisons)
    return max((drift for drift in drifts if drift is not None and math.isfinite(drift)), default=None)


def _bodies(tests: Sequence[TestResult], environments: dict[_Rows, int], run: Run, room: int) -> Iterator[Markup]:
    """Yield the details of each test, as long as there is room."""
    for test in tests:
        body = _FULL
        if room > 0:
            comparisons = [
                {**_comparison(found, environments), "accept": accept_command(found, run)} for found in test.comparisons
            ]
            details = test.details[-_PRINTED:] if test.verdict == "broken" else ""
            shown = {"test": test, "comparisons": comparisons, "details": details, "code": _code(test, run)}
            body = pages.render("report_test.html", **shown, anchor=anchor, made_with=made_with)
            room -= len(body)
        yield body if room > 0 else _FULL


def _code(test: TestResult, run: Run) -> str:
    """Return the address of a test's line at the commit that was tested, or nothing."""
    source = run.source
    if source is None or not (source.repository and source.commit and test.line):
        return ""
    return f"{source.repository}/blob/{source.commit}/{quote(test.file)}#L{test.line}"


def _comparison(found: Compared, environments: dict[_Rows, int]) -> dict[str, Any]:
    made = found.recorded is not None, tuple(_environment(found))
    return {
        "about": found,
        "sides": _sides(found),
        "differences": [difference for difference in found.differences if difference.stage not in _DRAWN],
        "steps": _around_divergence(found.course),
        "plot": plot(found.course, found.tolerance) if found.course is not None and _is_drawn(found.course) else None,
        "moved": [row for row in made[1] if row[3] and found.recorded],
        "environment": environments.setdefault(made, len(environments) + 1),  # one table for all that share it
    }


def _sides(found: Compared) -> list[tuple[int, tuple[Piece, ...], int] | None]:
    """Return both sides, or one if they are equal: characters left out before, the text, and those left out after."""
    before, now = word_sides(found)
    side = (found.observed.text.start, now, found.observed.text.end)
    if found.recorded is None or before is None:
        return [None, side]
    if found.recorded.text == found.observed.text:
        return [side]
    return [(found.recorded.text.start, before, found.recorded.text.end), side]


def _is_drawn(course: Course) -> bool:
    """Return whether numbers moved at more than one place: a drawing of one says less than its figure."""
    return sum(value is not None and value != 0 for value in course.drift) > 1


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
