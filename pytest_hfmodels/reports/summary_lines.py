"""The summary of a run on a terminal: the headline, each cause once, changed texts, drift as a table, new tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.reports.causes import counted
from pytest_hfmodels.reports.summary import moved, relabelled
from pytest_hfmodels.reports.words import around, sides
from pytest_hfmodels.results.model import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.reports.causes import Cause
    from pytest_hfmodels.reports.summary import Summary
    from pytest_hfmodels.reports.words import Piece
    from pytest_hfmodels.results.model import Compared

_CAUSES, _TEXTS, _ROWS = 10, 5, 10
_WHY = 200  # characters of a cause
_NAME = 60  # of a cell in a table
_LABELS = 5  # rows of one test
_BEFORE, _AFTER = 30, 60  # of a text, around the first difference
_MORE = "--hfmodels-html FILE shows all"


def summary_lines(summary: Summary) -> Iterator[str]:
    """Yield the lines; of nothing to decide one on another release of transformers, and none on the recorded one."""
    if summary.differing or summary.is_of_another_release:
        yield visible_line(summary.headline)
    for cause in summary.causes[:_CAUSES]:
        yield from _cause(cause)
    if len(summary.causes) > _CAUSES:
        yield f"{counted(len(summary.causes) - _CAUSES, 'more cause')}: {_MORE}"
    yield from output_lines(summary)
    for test, _ in summary.new[:_TEXTS]:
        yield visible_line(f"new: {test.id}")
    if len(summary.new) > _TEXTS:
        yield f"{len(summary.new) - _TEXTS:,} more new: {_MORE}"


def output_lines(summary: Summary, more: str = _MORE) -> Iterator[str]:
    """Yield lines about changed and drifted outputs; `more` tells the reader where the rest is."""
    for test, found in summary.changed[:_TEXTS]:
        yield visible_line(f"{found.verdict}: {test.id}")
        yield from _text(found, more)
    if rest := summary.count_changed - len(summary.changed[:_TEXTS]):
        yield f"{rest:,} more changed: {more}"
    yield from _drifts(summary, more)


def _cause(cause: Cause) -> Iterator[str]:
    sentence = f": {cut(cause.sentence, _WHY)}" if cause.sentence else ""
    yield visible_line(f"{cause.title}{sentence}{f' ({cause.since})' if cause.since else ''}")
    yield f"  {cause.figures}"
    if cause.command is not None:
        yield visible_line(f"  find the release: {cause.command}")
    if cause.remedy:
        yield visible_line(f"  for the old output: {cut(cause.remedy, _WHY)}")


def _text(found: Compared, more: str) -> Iterator[str]:
    if rows := relabelled(found):
        yield from (f"  {line}" for line in _table([("differs", "was", "now"), *rows[:_LABELS]]))
        if len(rows) > _LABELS or found.hidden:
            yield f"  {counted(len(rows) + found.hidden - _LABELS, 'more difference')}: {more}"
        return
    before, now = sides(found)
    if before is None or found.recorded is None or found.recorded.text == found.observed.text:
        yield visible_line(f"  {found.headline}")
        return
    for label, pieces in (("was", before), ("now", now)):
        yield visible_line(f"  {label} {marked(around(pieces, _BEFORE, _AFTER))}")
    if found.phrase:
        yield visible_line(f"  {found.phrase}")


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, the first row as its heading."""
    shown = [[visible_line(cut(cell, _NAME)) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def marked(pieces: Sequence[Piece]) -> str:
    """Return a text with what differs in brackets."""
    return "".join(f"⟦{piece.text}⟧" if piece.role == "different" else piece.text for piece in pieces)


def _drifts(summary: Summary, more: str) -> Iterator[str]:
    """Yield a table of the numbers that moved most."""
    rows = [("drift", "was", "now", "moved by", "at")]
    for test, found in summary.drifted[:_ROWS]:
        most = moved(found)
        if most is not None:
            where = f"{most.what}, {most.where}" if most.where else most.what
            rows.append((test.id, most.was, most.now, most.by, where))
    if len(rows) > 1:
        yield from _table(rows)
    if rest := summary.count_drifted - len(summary.drifted[:_ROWS]):
        yield f"{rest:,} more drifted: {more}"
