"""A run as Markdown, for a pull request or a CI's step summary: the summary, and where the rest is.

GitHub cuts a comment at 65,536 characters, so the page stays below 60 kB.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from markupsafe import Markup

from pytest_hfmodels.reports import pages
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.reports.summary import Summary, moved, relabelled
from pytest_hfmodels.reports.summary_lines import marked
from pytest_hfmodels.reports.words import around, sides
from pytest_hfmodels.results.deciding import accept_command, review_command
from pytest_hfmodels.results.model import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_hfmodels.results.model import Compared, Results, TestResult

MOST = 60_000  # bytes
SHOWN = 50  # texts
_CAUSES = 10
_AT_ONCE = 10  # texts of a cause, before those of the next
# Bytes of each section.
_TEXTS, _ROWS, _NAMES, _ERRORS = 26_000, 10_000, 4_000, 6_000
_NAME, _HEADLINE, _DETAILS = 200, 300, 1_000  # characters
_BEFORE, _FROM = 80, 320  # characters of each side before and from the divergence


@dataclass(frozen=True)
class _Section:
    """The parts of a section that fit, and how many were left out."""

    shown: tuple[str, ...]
    rest: int


def render(results: Results) -> str:
    """Return the page: the summary of a run, as many texts as fit, and where the rest is."""
    summary, run = Summary(results.tests, results.run), results.run
    page = pages.render(
        "report.md",
        summary=summary,
        run=run,
        source=run.source,
        link=_link,
        tests=counted(len(results.tests), "test"),
        causes=summary.causes[:_CAUSES],
        outputs=outputs(summary, _elsewhere(results), accept=lambda one: accept_command(one, run)),
        broken=_section(map(_broken, summary.broken), len(summary.broken), _ERRORS),
        elsewhere=_elsewhere(results),
        decide=review_command((one for _, one in summary.differing), run),
    )
    return str(page)


def outputs(summary: Summary, elsewhere: str, *, accept: Callable[[Compared], str] = lambda _: "") -> Markup:
    """Return the outputs that changed, drifted and are new, as many as fit.

    Args:
        summary: of the tests.
        elsewhere: where the rest is.
        accept: returns the command that accepts one, or nothing.
    """
    texts = (_text(test, found, accept(found)) for test, found in _mixed(summary.changed))
    return pages.render(
        "outputs.md",
        changed=_section(texts, summary.count_changed, _TEXTS),
        drifted=_section(map(_row, summary.drifted), summary.count_drifted, _ROWS),
        new=_section(map(_new, summary.new), summary.count_new, _NAMES),
        elsewhere=elsewhere,
    )


def _section(parts: Iterable[str], count: int, room: int) -> _Section:
    """Return the first parts, as many as there is room for."""
    rendered = [part for part, _ in zip(parts, range(SHOWN), strict=False)]
    weights = accumulate(len(part.encode("utf-8", "replace")) for part in rendered)
    fitting = sum(1 for _ in takewhile(lambda weight: weight <= room, weights))
    return _Section(tuple(rendered[:fitting]), count - fitting)


def _mixed(found: Sequence[tuple[TestResult, Compared]]) -> list[tuple[TestResult, Compared]]:
    """Return some of each verdict and cause first, so that none fills the page alone."""
    seen: Counter[tuple[str | None, str | None]] = Counter()
    turns = []
    for test, one in found:
        turns.append((seen[one.verdict, one.cause] // _AT_ONCE, (test, one)))
        seen[one.verdict, one.cause] += 1
    return [pair for _, pair in sorted(turns, key=lambda turn: turn[0])]


def _text(test: TestResult, found: Compared, accept: str) -> str:
    before, now = sides(found)
    lines = ""
    if before is not None and found.recorded is not None and found.recorded.text != found.observed.text:
        lines = "\n".join(_diff(*(marked(around(side, _BEFORE, _FROM)).splitlines() for side in (before, now))))
    shown = {"label": cut(test.id, _NAME), "found": found, "lines": lines, "accept": accept}
    return pages.render("report_changed.md", **shown, rows=relabelled(found))


def _row(pair: tuple[TestResult, Compared]) -> str:
    test, found = pair
    most = moved(found)
    return "" if most is None else pages.render("report_row.md", label=cut(test.id, _NAME), most=most)


def _new(pair: tuple[TestResult, Compared]) -> str:
    test, found = pair
    return pages.render("report_new.md", label=cut(test.id, _NAME), text=cut(found.observed.text.text, _HEADLINE))


def _broken(test: TestResult) -> str:
    details = test.details[-_DETAILS:]
    shown = {"label": cut(test.id, _NAME), "test": test, "details": details}
    return pages.render("report_broken.md", **shown)


def _diff(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """Yield the lines of both sides; a line that both have comes once."""
    for what, start, end, begin, stop in SequenceMatcher(None, before, now, autojunk=False).get_opcodes():
        if what == "equal":
            yield from (f"  {line}" for line in before[start:end])
        else:
            yield from (f"- {line}" for line in before[start:end])
            yield from (f"+ {line}" for line in now[begin:stop])


def _elsewhere(results: Results) -> Markup:
    """Return where the rest is: the page, and the job that has it."""
    run = results.run
    page = pages.code(run.page) if run.page else Markup("<code>--hfmodels-html FILE</code> shows all")
    if run.source is not None and run.source.job_url:
        return Markup("{} of {}").format(page, _link("this run", run.source.job_url)) if run.page else page
    return page


def _link(words: str, address: str) -> Markup:
    shown = pages.escape(words)
    return Markup(f"[{shown}]({address})") if address.startswith("https://") and ")" not in address else shown
