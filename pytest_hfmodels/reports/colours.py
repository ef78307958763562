"""Puts colours on what pytest is about to print of a mismatch, once every other report is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.reports.terminal import MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Markup = Callable[..., str]  # of pytest's terminal writer

OFF = "\033[0m"
_VERDICTS = {"changed": "red", "drift": "yellow", "near-tie": "yellow", "missing": "purple"}
_HEADLINE = re.compile(rf"^(E +)((?:AssertionError: )?assert )?({'|'.join(_VERDICTS)})(: .*)$")
_SIDE = re.compile(r"^(E +)(recorded|now     ) (.*)$")
_NEXT = re.compile(r"^(E +)(accept it|record it|find the release|torch writes this file)(: .*)$")
_WHY = re.compile(r"^(E +)(why:|-) (.*)$")


def paint(reports: Iterable[Any], markup: Markup) -> None:
    """Colour the lines that stand for a mismatch in the reports of tests that failed by one.

    Args:
        reports: pytest's.
        markup: puts escape sequences around a text: `markup(text, red=True)`.
    """
    for report in reports:
        trace = getattr(report.longrepr, "reprtraceback", None)
        for entry in getattr(trace, "reprentries", ()):
            entry.lines = painted(entry.lines, markup)


def painted(lines: list[str], markup: Markup) -> list[str]:
    """Return lines of a traceback with those of a mismatch in colour."""
    found, inside = [], False
    for line in lines:
        inside = inside or _HEADLINE.match(line) is not None
        found.append(_painted(line, markup) if inside and line.startswith("E") else line)
    return found


def _painted(line: str, markup: Markup) -> str:
    """Return a line of pytest's, its own colour off after the mark that it knows the line by."""
    if parts := _HEADLINE.match(line):
        before, said, verdict, rest = parts.groups(default="")
        return f"{before}{OFF}{said}{markup(f'{verdict}{rest}', bold=True, **{_VERDICTS[verdict]: True})}"
    if parts := _SIDE.match(line):
        before, word, text = parts.groups()
        colour = {"red" if word == "recorded" else "green": True}
        left, mark, rest = text.partition(MARKS[0])
        middle, end, right = rest.rpartition(MARKS[1])
        marked = f"{left}{markup(f'{mark}{middle}{end}', bold=True, **colour)}{right}" if mark and end else text
        return f"{before}{OFF}{markup(word, **colour)} {marked}"
    if parts := _WHY.match(line):
        before, word, text = parts.groups()
        return f"{before}{OFF}{markup(word, bold=True) if word == 'why:' else word} {text}"
    if parts := _NEXT.match(line):
        before, word, rest = parts.groups()
        return f"{before}{OFF}{markup(f'{word}{rest}', cyan=True)}"
    return f"{line[:4]}{OFF}{line[4:]}"
