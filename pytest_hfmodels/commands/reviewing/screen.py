"""A pending change in the lines of a terminal: verdict and cause, why, and where the two texts part."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.shell import is_command
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.reports.diff import hunks
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.results.pending import Pending

_LEAD = 100  # characters of what both texts begin with
_SHOWN = 300  # characters of each text from there on
_WORD = 20  # characters to go back, so that a word is not split
_WHY = 8
_CHANGED = 6  # lines of a diff, where the texts are the same
_LABEL = 6  # columns of `was`, `now`


def change_lines(change: Pending, root: Path, width: int, *, place: str) -> Iterator[Text]:
    """Yield what somebody needs to decide.

    Args:
        change: the pending change.
        root: of the project.
        width: columns of the terminal.
        place: where in the review it stands: `3 of 14`.
    """
    trouble = problem(change, root)
    what = change.verdict if change.cause is None else f"{change.verdict}: {change.cause}"
    yield from fold(f"[{place}] {what}", width, style="bold")
    yield from fold(change.test, width)
    variant = "" if change.entry is None else f" (the variant of {change.entry})"
    yield from fold(f"{change.compared}{variant}", width, style="cyan")
    if trouble is not None:
        yield from fold(trouble.what, width, style="red")
    for line in change.why[:_WHY]:
        yield from _reason(line, width)
    if len(change.why) > _WHY:
        yield Text(f"  {len(change.why) - _WHY} more lines: d")
    if trouble is None or trouble.is_stale:
        yield Text()
        yield from _texts(change, root, width)


def fold(text: str, width: int, *, style: str = "", label: str = "") -> Iterator[Text]:
    """Yield lines of at most `width` columns; unseen characters are spelt out.

    Args:
        text: what to break into lines, after spaces where there are some.
        width: columns.
        style: of the text.
        label: what the first line begins with, and the others leave room for.
    """
    lines = Text(visible_line(text)).wrap(_CONSOLE, max(1, width - cell_len(label)), overflow="fold")
    for number, line in enumerate(lines or [Text()]):
        line.rstrip()
        line.style = style
        yield Text.assemble(" " * cell_len(label) if number else label, line)


_CONSOLE = Console()  # measures; it prints nothing


def _texts(change: Pending, root: Path, width: int) -> Iterator[Text]:
    try:
        earlier = change.earlier(root)
        before = None if earlier is None else load(earlier, root / change.compared)
        now = load(change.text, Path(change.snapshot))
    except SnapshotError as error:
        yield from fold(error.message, width)
        return
    if before is None:
        yield from _labelled("now", next(iter(kind_of(now).texts(now).values())), width, "green")
        return
    texts = kind_of(before).texts(before)
    for name, here in kind_of(now).texts(now).items():
        then = texts.get(name, here)
        if then != here:
            yield from _parting(name, then, here, width)
            return
    yield Text("the texts are the same; the first lines that differ:")
    found = (line for line in hunks((earlier or "").replace("\r\n", "\n"), change.text) if line[0] in "+-")
    for line in islice(found, _CHANGED):
        cut = next(fold(visible(line), width - 2, style="red" if line[0] == "-" else "green"))
        yield Text.assemble("  ", cut)


def _parting(what: str, before: str, now: str, width: int) -> Iterator[Text]:
    split = _split(before, now)
    if split:
        yield from fold(f"{what}: the first {split:,} characters are the same", width)
        lead = before[max(0, split - _LEAD) : split]
        yield from _labelled("both", f"{'…' if split > _LEAD else ''}{lead}", width)
    else:
        yield Text(f"{what}:")
    yield from _labelled("was", before[split:], width, "red")
    yield from _labelled("now", now[split:], width, "green")


def _labelled(label: str, text: str, width: int, style: str = "") -> Iterator[Text]:
    """Yield a text behind a word: letters that run from left to right, whatever the text's do."""
    yield from fold(text[:_SHOWN] or "(nothing more)", width, style=style, label=f"{label:<{_LABEL}}")
    if len(text) > _SHOWN:
        yield Text(f"{'':<{_LABEL}}… {len(text) - _SHOWN:,} more characters: d")


def _reason(line: str, width: int) -> Iterator[Text]:
    """Yield the lines of a reason; a command stays on one line, so that it can be copied."""
    if is_command(line):
        yield Text(f"  {visible_line(line)}")
    else:
        yield from fold(_cut(line), width, label="  ")


def _cut(line: str) -> str:
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} …"


def _split(before: str, now: str) -> int:
    """Return where the texts part; where that is in a word, its beginning."""
    most = min(len(before), len(now))
    place = next((place for place in range(most) if before[place] != now[place]), most)
    if not any(side[place : place + 1].strip() for side in (before, now)):
        return place
    word = max(before.rfind(sign, max(0, place - _WORD), place) for sign in " \n")
    return place if word < 0 else word + 1
