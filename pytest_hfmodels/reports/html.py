"""A run as one HTML file that needs nothing else, for people. Imports jinja2.

The details of a test are markup inside `noscript`: a browser without script shows them all, one with script builds
those that somebody opens, so that thousands of tests open at once. Beyond some megabytes they are packed (`packing`),
and need script.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from pytest_hfmodels.foundation.control_chars import UNSEEN, named, visible, visible_line
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.kinds.comparison import common_prefix
from pytest_hfmodels.kinds.explanation import in_words
from pytest_hfmodels.reports.compression import FULL, Kept, Packs
from pytest_hfmodels.reports.plot import plot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds.base import Course, Part
    from pytest_hfmodels.results.model import Compared, Excerpt, Results, Side, TestResult

SIGNS = {"same": "✓", "drift": "≈", "near-tie": "~", "changed": "✗", "missing": "?", "broken": "!", "none": "○"}
_OPEN = 3  # of the gravest tests, opened from the start
# What all texts and all drawings of a page may take together; with few tests, each shows all that the results hold.
_CHARACTERS, _MOST_CHARACTERS, _LEAST_CHARACTERS = 5_000_000, 4000, 250
_POINTS, _MOST_POINTS, _LEAST_POINTS = 600_000, 512, 40
# Tokens on each side of a divergence; with many comparisons only the nearest.
_NEAR, _MANY, _NEAREST = 3, 1000, 1
_DETAILS = 2000
_PAGE = 14_000_000  # bytes; one of thousands of tests can still be sent and opened
_PLAIN = 6_000_000  # of details that are not packed
_ROW = 320  # bytes of a test without its details, its name and what is said of it
_PATCH = 2_000_000  # bytes
_DRAWN = ("ids", "text")  # layers that have a table and texts of their own


def render(results: Results, *, grid: Markup | None = None, patch: str = "") -> str:
    """Return the page. Whatever a model or a test says is shown as text.

    Args:
        results: what to show.
        grid: the last matrix of the project, as `grid_html.grid_section` gives it.
        patch: what accepting would change; offered as a file where it is not too long for a page.
    """
    templates = files("pytest_hfmodels.reports").joinpath("templates")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shown": shown, "line": visible_line, "words": in_words}
    whole, body, script = (
        templates.joinpath(name).read_text(encoding="utf-8")
        for name in ("report.html", "report_test.html", "report.js")
    )
    page = _Page(results, environment.from_string(body))
    address = _address(patch)
    packs = Packs(plain=_PLAIN, room=_PAGE - page.rows_weight() - len(grid or "") - len(address or ""))
    tests = [page.test(test, kept) for test, kept in page.kept(packs)]
    return environment.from_string(whole).render(
        script=Markup(script),
        script_digest=base64.b64encode(sha256(script.encode()).digest()).decode(),
        headline=headline(results),
        run=results.run,
        started=results.run.started.replace("T", " ").replace("+00:00", " UTC"),
        verdicts=list(results.run.verdicts.items()),
        signs=SIGNS,
        overview=page.overview(),
        causes=page.causes,
        engines=sorted({test.engine for test in results.tests if test.engine}),
        tests=tests,
        packs=packs.packed,
        packed=sum(test["place"] is not None for test in tests),
        pairs=page.pairs,
        grid=grid,
        patch=address,
        patch_left_out=bool(patch) and address is None,
    )


def headline(results: Results) -> str:
    """Return `14 tests: 3 changed, 11 same`."""
    count = len(results.tests)
    told = ", ".join(f"{number} {_word(verdict)}" for verdict, number in results.run.verdicts.items())
    return f"{count} model test{'' if count == 1 else 's'}{f': {told}' if told else ''}"


def _address(patch: str) -> str | None:
    """Return where a browser finds a patch that the page holds, or None where there is none or it is too long."""
    data = patch.encode("utf-8", "surrogateescape")
    return f"data:text/x-diff;base64,{base64.b64encode(data).decode()}" if 0 < len(data) <= _PATCH else None


def shown(text: str) -> Markup:
    """Return text as markup, its unseen characters visible."""
    if not UNSEEN.search(text):
        return escape(text)
    return Markup("").join(
        Markup("<i>{}</i>").format(named(part)) if UNSEEN.fullmatch(part) else escape(part)
        for part in re.split(f"({UNSEEN.pattern})", text)
    )


def _word(verdict: str) -> str:
    return "without a verdict" if verdict == "none" else verdict


class _Page:
    """What the tests of a page share: how much each may take, and what made their sides."""

    def __init__(self, results: Results, body: Template) -> None:
        self._template = body
        self.tests = sorted(results.tests, key=lambda test: severity(test.verdict or "none"))
        self.causes = sorted({test.cause for test in self.tests if test.cause})
        self.pairs: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}
        count = max(1, sum(len(test.comparisons) for test in self.tests))
        self._characters = max(_LEAST_CHARACTERS, min(_MOST_CHARACTERS, _CHARACTERS // (2 * count)))
        self._points = max(_LEAST_POINTS, min(_MOST_POINTS, _POINTS // (3 * count)))
        self._reach = _NEAREST if count > _MANY else _NEAR
        self._opened = 0

    def overview(self) -> list[dict[str, Any]]:
        """Return a row for each verdict and cause that occurs together."""
        counted = Counter((test.verdict or "none", test.cause) for test in self.tests)
        rows = sorted(counted.items(), key=lambda row: (severity(row[0][0]), -row[1], row[0][1] or ""))
        return [
            {
                "verdict": verdict,
                "word": _word(verdict),
                "cause": cause,
                "count": count,
                "fragment": urlencode({"verdict": verdict, **({"cause": cause or "none"} if self.causes else {})}),
            }
            for (verdict, cause), count in rows
        ]

    def rows_weight(self) -> int:
        """Return about how many bytes the tests take without their details."""
        told = (f"{test.id}{test.headline}{2 * (test.cause or '')}" for test in self.tests)
        return sum(_ROW + len(text.encode(errors="replace")) for text in told)

    def kept(self, packs: Packs) -> Iterator[tuple[TestResult, Kept]]:
        """Yield each test and where its details are."""
        places = packs.keep(map(self._body, self.tests))
        return ((test, next(places, Kept(FULL))) for test in self.tests)

    def test(self, test: TestResult, kept: Kept) -> dict[str, Any]:
        verdict = test.verdict or "none"
        opened = verdict not in ("same", "none") and self._opened < _OPEN
        self._opened += opened
        drifts = [found.drift for found in test.comparisons if found.drift is not None and math.isfinite(found.drift)]
        return {
            "id": test.id,
            "engine": test.engine or "",
            "verdict": verdict,
            "sign": SIGNS[verdict],
            "word": test.outcome if verdict == "none" else verdict,
            "cause": test.cause,
            "headline": test.headline,
            "seconds": f"{test.seconds:.2f}",
            "drift": max(drifts, default=None),
            "open": opened,
            "body": kept.body,
            "place": kept.place,
        }

    def _body(self, test: TestResult) -> Markup:
        verdict = test.verdict or "none"
        comparisons = [self._comparison(found) for found in test.comparisons]
        details = test.details[-_DETAILS:] if verdict == "broken" else ""
        return Markup(self._template.render(test=test, comparisons=comparisons, details=details))

    def _comparison(self, found: Compared) -> dict[str, Any]:
        recorded = None if found.recorded is None else found.recorded.text
        texts = _texts(recorded, found.observed.text, self._characters)
        return {
            "about": found,
            "why": found.explanation,
            "alike": recorded is not None and texts[0] == texts[1],
            "texts": texts,
            "differences": [difference for difference in found.differences if difference.stage not in _DRAWN],
            "tokens": [] if found.course is None else list(_tokens(found.course, self._reach)),
            "plot": None if found.course is None else plot(found.course, found.tolerance, most=self._points),
            "moved": [(what, then, now) for what, then, now, differs in _made(found) if differs],
            "pair": self._pair(found),
            "accept": command("hfmodels", "accept", operand(found.writer)),
        }

    def _pair(self, found: Compared) -> int:
        """Return the number of the table that tells what made both sides: one for all tests that share it."""
        rows = list(_made(found))
        number = self._numbers.setdefault(repr(rows), len(self.pairs) + 1)
        if number > len(self.pairs):
            self.pairs.append({"number": number, "rows": rows, "recorded": found.recorded is not None})
        return number


def _texts(recorded: Excerpt | None, observed: Excerpt, size: int) -> tuple[Markup | None, Markup]:
    """Return both texts as markup, with what differs marked."""
    if recorded is None:
        return None, _marked(observed, 0, 0, 0, size)
    before, now = recorded.text, observed.text
    if before == now:
        return _marked(recorded, 0, 0, 0, size), _marked(observed, 0, 0, 0, size)
    start = common_prefix(before, now) if recorded.start == observed.start else 0
    rest = min(len(before), len(now)) - start
    end = min(rest, common_prefix(before[::-1], now[::-1])) if recorded.end == observed.end else 0
    return tuple(  # type: ignore[return-value] # of two
        _marked(side, start, len(side.text) - end, start, size) for side in (recorded, observed)
    )


def _marked(side: Excerpt, start: int, end: int, focus: int, size: int) -> Markup:
    """Return a text with the characters from `start` to `end` marked, cut to `size` around `focus`."""
    text = side.text
    first = max(0, min(focus - size // 2, len(text) - size))
    last = min(len(text), first + size)
    start, end = (min(max(place, first), last) for place in (start, end))
    before, after = side.start + first, side.end + len(text) - last
    marked = Markup("<mark>{}</mark>").format(shown(text[start:end].replace("\n", "↵\n"))) if end > start else Markup()
    return Markup("{}{}{}{}{}").format(
        _left_out(before), shown(text[first:start]), marked, shown(text[end:last]), _left_out(after)
    )


def _left_out(count: int) -> Markup:
    return Markup("<small>… {} characters …</small>").format(f"{count:,}") if count else Markup()


def _tokens(course: Course, reach: int) -> Iterator[dict[str, Any]]:
    """Yield the decisions on both sides of a divergence."""
    if course.divergence is None:
        return
    split = course.divergence - course.start
    last = min(max(len(course.recorded), len(course.observed)), split + reach + 1)
    for place in range(max(0, split - reach), last):
        sides = [_token(parts[place]) if place < len(parts) else None for parts in (course.recorded, course.observed)]
        yield {"number": course.start + place + 1, "here": place == split, "sides": sides}


def _token(part: Part) -> dict[str, Any]:
    return {
        "text": shown(part.text.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣")),
        "id": "–" if part.id is None else part.id,
        "log_probability": _figure(part.log_probability),
        "margin": _figure(part.margin),
    }


def _figure(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def _made(found: Compared) -> Iterator[tuple[str, str, str, bool]]:
    """Yield what made both sides: of what, recorded, now, whether they differ."""
    for what in ("engine", "implementation", "dtype", "attention", "device", "cpu"):
        yield _row(what, *(_field(side, "provenance", what) for side in (found.recorded, found.observed)))
    known = {} if found.recorded is None else found.recorded.provenance.versions
    now = found.observed.provenance.versions
    for package in sorted({*known, *now}):
        yield _row(package, known.get(package, "–"), now.get(package, "–"))
    for what, name in (("checkpoint", "name"), *((part, part) for part in _PARTS)):
        yield _row(what, *(_field(side, "checkpoint", name) for side in (found.recorded, found.observed)))


_PARTS = ("origin", "revision", "weights", "config", "tokenizer")


def _field(side: Side | None, of: str, what: str) -> str:
    return "–" if side is None else str(getattr(getattr(side, of), what) or "–")


def _row(what: str, before: str, now: str) -> tuple[str, str, str, bool]:
    return what, visible(before), visible(now), before not in (now, "–")
