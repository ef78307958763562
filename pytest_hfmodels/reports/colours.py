"""Puts colours on what pytest is about to print of a mismatch, once every other report is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.theme import Theme

if TYPE_CHECKING:
    from collections.abc import Iterable

_OFF = "\033[0m"  # pytest prints such lines in red
_FIRST = re.compile(r"^E +(?:AssertionError: )?(?:assert )?(?:changed|drift|near-tie|missing): ")
_THEME = Theme(
    {
        "changed": "bold red",
        "drift": "bold yellow",
        "missing": "bold magenta",
        "next": "cyan",
        "why": "bold",
        "before": "red",
        "now": "green",
        "differs_before": "bold red",
        "differs_now": "bold green",
    }
)


class _Mismatch(RegexHighlighter):
    highlights = (
        r"^ +(?:AssertionError: )?(?:assert )?(?P<changed>changed: .*)$",
        r"^ +(?:AssertionError: )?(?:assert )?(?P<drift>(?:drift|near-tie): .*)$",
        r"^ +(?:AssertionError: )?(?:assert )?(?P<missing>missing: .*)$",
        r"^ +(?P<before>recorded) [^⟦]*(?P<differs_before>⟦.*⟧)?",
        r"^ +(?P<now>now) [^⟦]*(?P<differs_now>⟦.*⟧)?",
        r"^ +(?P<why>why:) ",
        r"^ +(?P<next>(?:accept it|record it|find the release|torch writes this file): .*)$",
    )


def paint(reports: Iterable[Any]) -> None:
    """Colour the lines of a mismatch in the reports of tests that failed by one."""
    for report in reports:
        trace = getattr(report.longrepr, "reprtraceback", None)
        for entry in getattr(trace, "reprentries", ()):
            entry.lines = painted(entry.lines)


def painted(lines: list[str]) -> list[str]:
    """Return lines of a traceback with those of a mismatch in colour."""
    first = next((number for number, line in enumerate(lines) if _FIRST.match(line)), len(lines))
    console = Console(force_terminal=True, color_system="standard", theme=_THEME, highlighter=_Mismatch())
    return [
        f"E{_OFF}{_rendered(console, line[1:])}" if number >= first and line.startswith("E") else line
        for number, line in enumerate(lines)
    ]


def _rendered(console: Console, line: str) -> str:
    with console.capture() as captured:
        console.print(line, markup=False, emoji=False, soft_wrap=True, end="")
    return captured.get()
