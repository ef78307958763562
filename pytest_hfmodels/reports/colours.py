"""Puts colours on what pytest is about to print of a mismatch, once every other report is written: they never see any.

`tint` is for who prints, and colours as it writes; here the words stand already, and pytest knows its lines by them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.reports.terminal import MARKS
from pytest_hfmodels.reports.tint import OFF, Tint

if TYPE_CHECKING:
    from collections.abc import Iterable

_TINT = Tint(on=True)  # pytest has decided about colours by now
_VERDICTS = {"changed": "1;31", "drift": "1;33", "near-tie": "1;33", "missing": "1;35"}
_MARKED = "1;4"
_HEADLINE = re.compile(rf"^(E +)((?:AssertionError: )?assert )?({'|'.join(_VERDICTS)})(: .*)$")
_SIDE = re.compile(r"^(E +)(recorded|now     ) (.*)$")
_NEXT = re.compile(r"^(E +)(accept it|record it|find the release|torch writes this file)(: .*)$")
_WHY = re.compile(r"^(E +)(why:|-) (.*)$")


def paint(reports: Iterable[Any]) -> None:
    """Colour the lines that stand for a mismatch in the reports of tests that failed by one."""
    for report in reports:
        trace = getattr(report.longrepr, "reprtraceback", None)
        for entry in getattr(trace, "reprentries", ()):
            entry.lines = painted(entry.lines)


def painted(lines: list[str]) -> list[str]:
    """Return lines of a traceback with those of a mismatch in colour."""
    found, inside = [], False
    for line in lines:
        inside = inside or _HEADLINE.match(line) is not None
        found.append(_painted(line) if inside and line.startswith("E") else line)
    return found


def _painted(line: str) -> str:
    """Return a line of pytest's, its own colour off after the mark that it knows the line by."""
    if parts := _HEADLINE.match(line):
        before, said, verdict, rest = parts.groups(default="")
        return f"{before}{OFF}{said}{_TINT.styled(_VERDICTS[verdict], f'{verdict}{rest}')}"
    if parts := _SIDE.match(line):
        before, word, text = parts.groups()
        colour = _TINT.red if word == "recorded" else _TINT.green
        left, mark, rest = text.partition(MARKS[0])
        middle, end, right = rest.rpartition(MARKS[1])
        marked = f"{left}{colour(f'{mark}{middle}{end}', _MARKED)}{right}" if mark and end else text
        return f"{before}{OFF}{colour(word)} {marked}"
    if parts := _WHY.match(line):
        before, word, text = parts.groups()
        return f"{before}{OFF}{_TINT.bold(word) if word == 'why:' else word} {text}"
    if parts := _NEXT.match(line):
        before, word, rest = parts.groups()
        return f"{before}{OFF}{_TINT.cyan(f'{word}{rest}')}"
    return f"{line[:4]}{OFF}{line[4:]}"
