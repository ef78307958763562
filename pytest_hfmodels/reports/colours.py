"""Colours in what pytest prints of a mismatch: put on once every other report is written, for a terminal alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.reports.terminal import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterable

_OFF = "\x1b[0m"
_VERDICTS = {"changed": "\x1b[1;31m", "drift": "\x1b[1;33m", "near-tie": "\x1b[1;33m", "missing": "\x1b[1;35m"}
_HEADLINE = re.compile(rf"^(E +)((?:AssertionError: )?assert )?({'|'.join(_VERDICTS)})(: .*)$")
_SIDE = re.compile(r"^(E +)(recorded|now     ) (.*)$")
_NEXT = re.compile(r"^(E +)(accept it|record it|find the release|torch writes this file)(: .*)$")
_WHY = re.compile(r"^(E +)(why:|-) (.*)$")


def paint(reports: Iterable[Any]) -> None:
    """Colour the lines that stand for a mismatch in the reports of failed tests."""
    for report in reports:
        if dict(getattr(report, "user_properties", ())).get("hfmodels_verdict", "same") == "same":
            continue
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
    if parts := _HEADLINE.match(line):
        before, said, verdict, rest = parts.groups(default="")
        return f"{before}{_OFF}{said}{_VERDICTS[verdict]}{verdict}{rest}{_OFF}"
    if parts := _SIDE.match(line):
        before, word, text = parts.groups()
        colour = "\x1b[31m" if word == "recorded" else "\x1b[32m"
        left, mark, rest = text.partition(MARKS[0])
        middle, end, right = rest.rpartition(MARKS[1])
        marked = f"{left}{_OFF}{colour[:-1]};1;4m{mark}{middle}{end}{_OFF}{right}" if mark and end else text
        return f"{before}{_OFF}{colour}{word}{_OFF} {marked}"
    if parts := _WHY.match(line):
        before, word, text = parts.groups()
        return f"{before}{_OFF}\x1b[1m{word}{_OFF} {text}" if word == "why:" else f"{before}{_OFF}{word} {text}"
    if parts := _NEXT.match(line):
        before, word, rest = parts.groups()
        return f"{before}{_OFF}\x1b[36m{word}{rest}{_OFF}"
    return f"{line[:4]}{_OFF}{line[4:]}"  # pytest knows its own lines by how they begin
