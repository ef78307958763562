"""A pending change as a diff for people: unseen characters named, long lines cut. `patch` is the one for git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible, visible_line
from pytest_hfmodels.foundation.shell import is_command
from pytest_hfmodels.reports.diff import hunks
from pytest_hfmodels.snapshots.pending import problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_hfmodels.results.pending import Pending

LONGEST = 1000  # characters of a line


def diff_lines(pending: Pending, root: Path, *, full: bool = False) -> Iterator[Text]:
    """Yield the lines of a diff between the file that a change is about, and what it would hold.

    Args:
        pending: the change. Where the file has changed since, the diff is with what it holds now.
        root: of the project.
        full: whether long lines are not cut.

    Raises:
        SnapshotError: the file cannot be read.
    """
    earlier = pending.earlier(root)
    trouble, compared = problem(pending, root), visible_line(pending.compared)
    what = f"{pending.verdict}{f', {pending.cause}' if pending.cause else ''}: {pending.test}"
    yield Text(visible_line(what), style="bold")
    for line in pending.why:
        yield Text(f"  {visible_line(line if full or is_command(line) else _cut(line))}")
    if trouble is not None:
        yield Text(f"  {visible_line(trouble.what)}")
    yield Text(f"--- {compared if earlier is not None else 'no snapshot yet'}", style="bold")
    yield Text(f"+++ {compared}", style="bold")
    for line in hunks(_shown(earlier or ""), _shown(pending.text)):
        yield Text(line if full else _cut(line), style=_STYLES.get(line[0], ""))


_STYLES = {"-": "red", "+": "green", "@": "cyan"}


def _shown(text: str) -> str:
    return visible(text.replace("\r\n", "\n"))


def _cut(line: str) -> str:
    if len(line) <= LONGEST:
        return line
    return f"{line[:LONGEST]} … {len(line) - LONGEST:,} more characters: hfmodels diff --full"
