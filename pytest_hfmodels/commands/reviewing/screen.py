"""A pending change on a terminal: verdict and cause, why, and where the two texts part."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.shell import is_command
from pytest_hfmodels.kinds.comparison import common_prefix
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.reports.diff import hunks
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from pytest_hfmodels.results.pending import Pending

_LEAD = 100  # characters of what both texts begin with
_SHOWN = 300  # characters of each text from there on
_WORD = 20  # characters to go back, so that a word is not split
_WHY = 8
_CHANGED = 6  # lines of a diff, where the texts are the same


def change_lines(change: Pending, root: Path, *, place: str) -> Iterator[RenderableType]:
    """Yield what somebody needs to decide.

    Args:
        change: the pending change.
        root: of the project.
        place: where in the review it stands: `3 of 14`.
    """
    trouble = problem(change, root)
    yield _text(f"[{place}] {change.what}", "bold")
    yield _text(change.test)
    yield _text(f"{change.compared}{f' (the variant of {change.entry})' if change.entry else ''}", "cyan")
    if trouble is not None:
        yield _text(trouble.what, "red")
    for line in change.why[:_WHY]:
        yield f"  {line}" if is_command(line) else _labelled("", line)
    if len(change.why) > _WHY:
        yield f"  {len(change.why) - _WHY} more lines: d"
    if trouble is None or trouble.is_stale:
        yield ""
        yield from _texts(change, root)


def _texts(change: Pending, root: Path) -> Iterator[RenderableType]:
    try:
        earlier = change.earlier(root)
        before = None if earlier is None else load(earlier, root / change.compared)
        now = load(change.text, Path(change.snapshot))
    except SnapshotError as error:
        yield error.message
        return
    texts = kind_of(now).texts(now)
    then = {} if before is None else kind_of(before).texts(before)
    if before is None:
        yield _labelled("now", next(iter(texts.values())), "green")
    elif (name := next((name for name in texts if then.get(name, texts[name]) != texts[name]), None)) is not None:
        yield from _parting(name, then[name], texts[name])
    else:
        yield "the texts are the same; the first lines that differ:"
        found = (line for line in hunks((earlier or "").replace("\r\n", "\n"), change.text) if line[0] in "+-")
        for line in islice(found, _CHANGED):
            shown = Text(f"  {visible(line)}", "red" if line[0] == "-" else "green", no_wrap=True, overflow="ellipsis")
            yield shown


def _parting(what: str, before: str, now: str) -> Iterator[RenderableType]:
    split = _split(before, now)
    yield f"{what}: the first {split:,} characters are the same" if split else f"{what}:"
    if split:
        yield _labelled("both", f"{'…' if split > _LEAD else ''}{before[max(0, split - _LEAD) : split]}")
    yield _labelled("was", before[split:], "red")
    yield _labelled("now", now[split:], "green")


def _labelled(label: str, text: str, style: str = "") -> Table:
    """Return a text behind a word: letters that run from left to right, whatever the text's do."""
    found = Table.grid(padding=(0, 2))
    shown = _text(text[:_SHOWN] or "(nothing more)", style)
    if len(text) > _SHOWN:
        shown.append(f" … {len(text) - _SHOWN:,} more characters: d", "default")
    found.add_column(min_width=4 if label else 0, no_wrap=True)
    found.add_column(overflow="fold")
    found.add_row(label, shown)
    return found


def _text(text: str, style: str = "") -> Text:
    return Text(visible_line(text), style)


def _split(before: str, now: str) -> int:
    """Return where the texts part; where that is in a word, its beginning."""
    place = common_prefix(before, now)
    if not any(side[place : place + 1].strip() for side in (before, now)):
        return place
    word = max(before.rfind(sign, max(0, place - _WORD), place) for sign in " \n")
    return place if word < 0 else word + 1
