"""Puts colours on what pytest is about to print of a mismatch, once every other report is written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK = "E   "  # pytest prints lines that begin with it in red, and all others as source code
_OFF = "\033[0m"
_FIRST = re.compile(r"^E +(?:AssertionError: )?(?:assert )?(?:changed|drift|near-tie|missing): ")
_STYLES = {
    r"changed: .*$": "bold red",
    r"(?:drift|near-tie): .*$": "bold yellow",
    r"missing: .*$": "bold magenta",
    r"(?:accept it|record it|find the release|torch writes this file): .*$": "cyan",
    r"why: ": "bold",
    r"recorded ": "red",
    r"recorded [^⟦]*(?P<red>⟦.*⟧)": "bold",
    r"now ": "green",
    r"now [^⟦]*(?P<green>⟦.*⟧)": "bold",
}


def paint(reports: Iterable[Any]) -> None:
    """Colour the lines of a mismatch in the reports of tests that failed by one."""
    for report in reports:
        trace = getattr(report.longrepr, "reprtraceback", None)
        for entry in getattr(trace, "reprentries", ()):
            entry.lines = painted(entry.lines)


def painted(lines: list[str]) -> list[str]:
    """Return lines of a traceback with those of a mismatch in colour."""
    first = next((number for number, line in enumerate(lines) if _FIRST.match(line)), len(lines))
    # pytest knows a line of a failure by its first four characters, and takes others for source.
    return [
        f"{_MARK}{_OFF}{_coloured(line[4:])}" if number >= first and line.startswith(_MARK) else line
        for number, line in enumerate(lines)
    ]


def _coloured(line: str) -> str:
    text = Text(line)
    start = re.match(r" *(?:AssertionError: )?(?:assert )?", line)
    for pattern, style in _STYLES.items():
        found = re.compile(pattern).match(line, 0 if start is None else start.end())
        if found is not None:
            for name in found.groupdict() or ("",):
                text.stylize(f"{style} {name}", *found.span(name or 0))
    console = Console(force_terminal=True, color_system="standard", highlight=False)
    with console.capture() as captured:
        console.print(text, soft_wrap=True, end="")
    return captured.get()
