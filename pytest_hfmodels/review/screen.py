"""A pending change in the lines of a terminal: verdict and cause, why, and where the two texts part."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hfmodels.control_chars import visible, visible_line
from pytest_hfmodels.errors import SnapshotError
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.reports.diff import hunks
from pytest_hfmodels.review.wrap import fold
from pytest_hfmodels.shell import is_command
from pytest_hfmodels.snapshots.format import load
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_hfmodels.reports.tint import Tint
    from pytest_hfmodels.results.pending import Pending

_LEAD = 100  # characters of what both texts begin with
_SHOWN = 300  # characters of each text from there on
_WORD = 20  # characters to go back, so that a word is not split
_WHY = 8
_CHANGED = 6  # lines of a diff, where the texts are the same
_LABEL = 6  # columns of `was`, `now`


def change_lines(change: Pending, root: Path, width: int, tint: Tint, *, place: str) -> Iterator[str]:
    """Yield what somebody needs to decide.

    Args:
        change: the pending change.
        root: of the project.
        width: columns of the terminal.
        tint: the colours.
        place: where in the review it stands: `3 of 14`.
    """
    trouble = problem(change, root)
    what = change.verdict if change.cause is None else f"{change.verdict}: {change.cause}"
    yield from (tint.bold(line) for line in fold(visible_line(f"[{place}] {what}"), width))
    yield from fold(visible_line(change.test), width)
    variant = "" if change.entry is None else f" (the variant of {change.entry})"
    yield from (tint.cyan(line) for line in fold(visible_line(f"{change.compared}{variant}"), width))
    if trouble is not None:
        yield from (tint.red(line) for line in fold(visible_line(trouble.what), width))
    for line in change.why[:_WHY]:
        yield from _reason(line, width)
    if len(change.why) > _WHY:
        yield f"  {len(change.why) - _WHY} more lines: d"
    if trouble is None or trouble.is_stale:
        yield ""
        yield from _texts(change, root, width, tint)


def _texts(change: Pending, root: Path, width: int, tint: Tint) -> Iterator[str]:
    try:
        earlier = change.earlier(root)
        before = None if earlier is None else load(earlier, root / change.compared)
        now = load(change.text, Path(change.snapshot))
    except SnapshotError as error:
        yield from fold(visible_line(error.message), width)
        return
    if before is None:
        yield from _labelled("now", next(iter(kind_of(now).texts(now).values())), width, tint.green)
        return
    texts = kind_of(before).texts(before)
    for name, here in kind_of(now).texts(now).items():
        then = texts.get(name, here)
        if then != here:
            yield from _parting(name, then, here, width, tint)
            return
    yield "the texts are the same; the first lines that differ:"
    found = (line for line in hunks((earlier or "").replace("\r\n", "\n"), change.text) if line[0] in "+-")
    for line in islice(found, _CHANGED):
        cut = next(fold(visible(line).replace("\t", "⇥"), width - 2))
        yield f"  {tint.red(cut) if line[0] == '-' else tint.green(cut)}"


def _parting(what: str, before: str, now: str, width: int, tint: Tint) -> Iterator[str]:
    split = _split(before, now)
    if split:
        yield from fold(f"{what}: the first {split:,} characters are the same", width)
        lead = before[max(0, split - _LEAD) : split]
        yield from _labelled("both", f"{'…' if split > _LEAD else ''}{lead}", width)
    else:
        yield f"{what}:"
    yield from _labelled("was", before[split:], width, tint.red)
    yield from _labelled("now", now[split:], width, tint.green)


def _labelled(label: str, text: str, width: int, colour: Callable[[str], str] = str) -> Iterator[str]:
    """Yield a text behind a word: letters that run from left to right, whatever the text's do."""
    shown = visible_line(text[:_SHOWN]) if text else "(nothing more)"
    lines = fold(shown, width, first=f"{label:<{_LABEL}}", rest=" " * _LABEL)
    yield from (line[:_LABEL] + colour(line[_LABEL:]) for line in lines)
    if len(text) > _SHOWN:
        yield f"{'':<{_LABEL}}… {len(text) - _SHOWN:,} more characters: d"


def _reason(line: str, width: int) -> Iterator[str]:
    """Yield the lines of a reason; a command stays on one line, so that it can be copied."""
    if is_command(line):
        yield f"  {visible_line(line)}"
    else:
        yield from fold(visible_line(_cut(line)), width, first="  ", rest="  ")


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
