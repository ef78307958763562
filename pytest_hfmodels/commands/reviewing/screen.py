"""A pending change on a terminal: verdict and cause, why, both texts word by word or the numbers that moved."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.errors import SnapshotError
from pytest_hfmodels.foundation.shell import is_command
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import Comparison, compare
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.kinds.tolerance import Tolerance, tolerance_of
from pytest_hfmodels.reports.diff import hunks
from pytest_hfmodels.reports.summary import relabelled
from pytest_hfmodels.reports.words import around, same_start, sides
from pytest_hfmodels.results.describe import describe, place
from pytest_hfmodels.results.remedies import since_words
from pytest_hfmodels.snapshots.format import load, parse, read_arrays
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.reports.words import Piece
    from pytest_hfmodels.results.model import Compared, Excerpt
    from pytest_hfmodels.results.pending import Pending

    Arrays = Callable[[Pending], bytes | None]

_BEFORE, _AFTER = 60, 240  # characters of each text, around the first difference
_WHY = 300  # characters of a reason
_ROWS = 5  # of a table
_CHANGED = 6  # lines of a diff, where neither texts nor numbers differ
_STYLES = {"prompt": "dim", "same": ""}


def change_lines(change: Pending, root: Path, arrays: Arrays, *, place: str) -> Iterator[RenderableType]:
    """Yield what somebody needs to decide, the most important first: a low terminal shows as much as fits.

    Args:
        change: the pending change.
        root: of the project.
        arrays: returns what the array file of a change would hold, or None if there would be none.
        place: where in the review it stands: `3 of 14`.
    """
    trouble = problem(change, root)
    yield _text(f"[{place}] {change.what}", "bold")
    yield _text(change.test)
    yield _text(f"{change.compared}{f' (the variant of {change.entry})' if change.entry else ''}", "cyan")
    if trouble is not None:
        yield _text(trouble.what, "red")
    since = since_words(change.releases)
    for line in change.why[:1]:
        yield from _why(f"{line} ({since})" if since else line)
    if trouble is None or trouble.is_stale:
        yield ""
        yield from _sides(change, root, arrays)
    for line in change.why[1:]:
        yield from _why(line)


def _why(line: str) -> Iterator[RenderableType]:
    shown = _text(line[:_WHY])
    if len(line) > _WHY:
        shown.append(f" … {len(line) - _WHY:,} more characters: d")
    yield f"  {line}" if is_command(line) else _labelled("", shown)


def _sides(change: Pending, root: Path, arrays: Arrays) -> Iterator[RenderableType]:
    try:
        earlier = change.earlier(root)
        found = _compared(change, root, earlier, arrays(change))
    except SnapshotError as error:
        yield error.message
        return
    before, now = sides(found)
    if found.recorded is None or before is None:
        yield _labelled("now", _shown(now, found.observed.text))
    elif rows := relabelled(found):
        yield _table(("", "was", "now"), rows)
    elif found.recorded.text != found.observed.text:
        if found.shows != "text":
            yield f"{found.shows}:"
        yield _labelled("was", _shown(before, found.recorded.text, "red"))
        yield _labelled("now", _shown(now, found.observed.text, "green"))
        if found.phrase:
            yield _text(found.phrase)
    elif found.largest is not None:
        yield _numbers(found)
    else:
        yield "the texts are the same; the first lines that differ:"
        lines = (line for line in hunks((earlier or "").replace("\r\n", "\n"), change.text) if line[0] in "+-")
        for line in islice(lines, _CHANGED):
            yield Text(f"  {visible(line)}", "red" if line[0] == "-" else "green", no_wrap=True, overflow="ellipsis")


def _compared(change: Pending, root: Path, earlier: str | None, arrays: bytes | None) -> Compared:
    """Return what the run said of a change, from both files."""
    now, path = load(change.text, Path(change.snapshot), arrays), root / change.compared
    before = None if earlier is None else load(earlier, path, read_arrays(parse(earlier, path), path))
    tolerance = tolerance_of((before or now).provenance, now.provenance, same_engine=True)
    if change.tolerance is not None:
        tolerance = Tolerance(change.tolerance)
    found = Comparison(Verdict.MISSING, (), 0.0, tolerance) if before is None else compare(before, now, tolerance)
    if before is not None and kind_of(before) is not kind_of(now):
        before = None  # two kinds have nothing in common to show side by side
    about: dict[str, Any] = {"writer": change.test, "equal": False, "entry": change.entry, "base": None}
    return describe(before, now, found, None, snapshot=change.compared, **about)


def _numbers(found: Compared) -> Table:
    """Return a table of the numbers that differ: the one that moved most, then the first of each name."""
    numbers = [one for one in found.differences if one.stage == "numbers"]
    most = found.largest
    assert most is not None
    rest = [one for one in numbers if (one.what, one.position) != (most.what, most.position)]
    return _table(("", "was", "now", "moved by"), map(_row, [most, *rest]))


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title else "left", overflow="fold")
    for row in islice(rows, _ROWS):
        table.add_row(*map(_text, row))
    return table


def _row(difference: Difference) -> tuple[str, str, str, str]:
    sides = (difference.recorded, difference.observed)
    values = [value if isinstance(value, str) else f"{value:.6g}" for value in sides]
    by = abs(float(difference.recorded) - float(difference.observed))
    return f"{difference.what}{place(difference)}", values[0], values[1], f"{by:.2g}"


def _shown(pieces: Sequence[Piece], side: Excerpt, style: str = "") -> Text:
    """Return a text around its first difference: the prompt dim, what differs in brackets and in colour."""
    shown = around(pieces, _BEFORE, _AFTER)
    found = Text()
    for piece in shown:
        if piece.role == "different":
            found.append(f"⟦{visible_line(piece.text)}⟧", f"bold {style}".strip())
        else:
            found.append(visible_line(piece.text), _STYLES[piece.role])
    length = sum(len(piece.text) for piece in pieces)
    left = side.end + length - min(length, same_start(pieces) + _AFTER)
    if left > 0:
        found.append(f" {left:,} more characters: d")
    return found if found else Text("(nothing)")


def _labelled(label: str, text: Text) -> Table:
    """Return a text behind a word: letters that run from left to right, whatever the text's do."""
    found = Table.grid(padding=(0, 2))
    found.add_column(min_width=3 if label else 0, no_wrap=True)
    found.add_column(overflow="fold")
    found.add_row(label, text)
    return found


def _text(text: str, style: str = "") -> Text:
    return Text(visible_line(text), style)
