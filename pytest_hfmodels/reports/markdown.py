"""A run as Markdown: for a CI's step summary or a pull request. Short: the HTML report holds the rest."""

from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.shell import command, operand
from pytest_hfmodels.foundation.verdicts import severity
from pytest_hfmodels.kinds.comparison import common_prefix
from pytest_hfmodels.kinds.explanation import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_hfmodels.results.model import Compared, Excerpt, Results, TestResult

MOST = 1024 * 1024  # bytes: GitHub takes no more of summary a step, and shows none of a larger one
SHOWN = 50  # tests with their texts
_AT_ONCE = 10  # of a verdict and cause, before those of the next
_NAMED = 500
_ROOM = 400_000  # bytes of those that are shown, and as many of those that are named
_TEXT = 400  # characters of each side
_EVIDENCE = 4
_BEFORE = 80  # of them before the divergence


def render(results: Results) -> str:
    """Return the page: verdicts, then each test that somebody should look at, the gravest first."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    run = results.run
    yield "## Model tests"
    yield ""
    told = ", ".join(f"{count} {_word(verdict)}" for verdict, count in run.verdicts.items())
    stopped = f" Stopped early: {escape(run.stopped)}." if run.stopped else ""
    yield f"{len(results.tests)} in all{f': {told}' if told else ''}.{stopped}"
    yield ""
    tests = [test for test in results.tests if test.failed or test.verdict not in ("same", None)]
    tests.sort(key=lambda test: severity(test.verdict or "same"))
    causes = _causes(tests)
    if causes:
        yield from ("| verdict | cause | tests |", "| --- | --- | ---: |", *causes, "")
    shown = _mixed(tests)[:SHOWN]
    shown = shown[: _fitting("\n".join(_test(test)) for test in shown)]
    yield from _shown(shown, titled=bool(causes))
    known = {test.id for test in shown}
    yield from _rest([test for test in tests if test.id not in known])
    yield f"<sub>{escape(', '.join(f'{name} {version}' for name, version in run.versions.items()))}</sub>"


def _shown(tests: list[TestResult], *, titled: bool) -> Iterator[str]:
    for cause, group in _groups(tests):
        if titled:
            yield from (f"### {escape(in_words(cause) if cause else 'Cause not known')}", "")
        for test in group:
            yield from _test(test)


def _rest(tests: list[TestResult]) -> Iterator[str]:
    """Yield the names of the tests that are not shown."""
    if not tests:
        return
    names = [f"- {_title(test)}" for test in tests[:_NAMED]]
    names = names[: _fitting(names)]
    yield from (f"<details><summary>{len(tests)} more</summary>", "", *names)
    if len(tests) > len(names):
        yield f"- and {len(tests) - len(names)} more"
    yield from ("", "</details>", "")


def _mixed(tests: list[TestResult]) -> list[TestResult]:
    """Return some of each verdict and cause first, so that none fills the page alone."""
    seen: Counter[tuple[str | None, str | None]] = Counter()
    turns: dict[str, int] = {}
    for test in tests:
        turns[test.id] = seen[test.verdict, test.cause] // _AT_ONCE
        seen[test.verdict, test.cause] += 1
    return sorted(tests, key=lambda test: turns[test.id])


def _fitting(parts: Iterable[str]) -> int:
    """Return how many of the parts there is room for."""
    weights = accumulate(len(part.encode("utf-8", "replace")) for part in parts)
    return sum(1 for weight in weights if weight <= _ROOM)


def _causes(tests: list[TestResult]) -> list[str]:
    """Return the table's rows, where any cause is known."""
    pairs = [(test.verdict or test.outcome, test.cause) for test in tests]
    if not any(cause for _, cause in pairs):
        return []
    return [
        f"| {verdict} | {escape(in_words(cause) if cause else 'not known')} | {pairs.count((verdict, cause))} |"
        for verdict, cause in dict.fromkeys(pairs)
    ]


def _groups(tests: list[TestResult]) -> Iterator[tuple[str | None, list[TestResult]]]:
    """Yield tests by cause, the cause of the gravest first, those without one last."""
    order = dict.fromkeys(test.cause for test in tests)
    for cause in sorted(order, key=lambda cause: cause is None):
        yield cause, [test for test in tests if test.cause == cause]


def _test(test: TestResult) -> Iterator[str]:
    yield f"<details><summary>{_title(test, html=True)}</summary>"
    yield ""
    if test.headline:
        yield f"{escape(test.headline)}"
        yield ""
    for found in test.comparisons:
        if found.verdict != "same":
            yield from _comparison(found)
    if test.details and test.verdict == "broken":
        yield from _fenced(visible(test.details), "")
    yield from ("</details>", "")


def _comparison(found: Compared) -> Iterator[str]:
    yield f"{code(found.snapshot)}, {found.shows}:"
    yield ""
    recorded, observed = None if found.recorded is None else found.recorded.text, found.observed.text
    if recorded == observed:
        yield "the same on both sides."
        yield ""
    else:
        lines = [] if recorded is None else [f"- {line}" for line in _side(recorded, observed).splitlines()]
        lines += [f"+ {line}" for line in _side(observed, recorded or observed).splitlines()]
        yield from _fenced("\n".join(lines), "diff")
    if found.drift is not None:
        yield f"Numbers moved by at most {found.drift:.2g} (tolerance {found.tolerance:.2g})."
    if found.explanation is not None:
        yield f"Why: {escape(found.explanation.sentence)}."
        yield from (f"- {escape(evidence.what)}" for evidence in found.explanation.evidence[:_EVIDENCE])
        if found.explanation.suggests:
            yield ""
        yield from (f"Find the release: {code(suggested)}" for suggested in found.explanation.suggests)
    if found.saved:
        yield ""
        yield f"Accept it: {code(command('hfmodels', 'accept', operand(found.writer)))}"
    yield ""


def _side(side: Excerpt, other: Excerpt) -> str:
    """Return the part of a text where the sides part."""
    first = 0 if side.text == other.text else max(0, common_prefix(side.text, other.text) - _BEFORE)
    last = first + _TEXT
    before, after = ("…" if side.start + first else ""), ("…" if side.end + len(side.text[last:]) else "")
    return visible(f"{before}{side.text[first:last]}{after}") or " "


def _title(test: TestResult, *, html: bool = False) -> str:
    verdict = test.verdict or test.outcome
    cause = f" ({in_words(test.cause)})" if test.cause else ""
    if html:
        return f"<b>{verdict}</b>{_html(cause)}: <code>{_html(visible_line(test.id))}</code>"
    return f"**{verdict}**{escape(cause)}: {code(test.id)}"


def _word(verdict: str) -> str:
    return "without a verdict" if verdict == "none" else verdict


def _fenced(text: str, language: str) -> Iterator[str]:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    yield from (f"{fence}{language}", text, fence, "")


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line and inside a table."""
    text = _html(" ".join(visible_line(text).split()))
    return re.sub(r"([\\`*_\[\]|~$#@])", r"\\\1", text)


def code(text: str) -> str:
    """Return text in a code span."""
    text = visible_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
