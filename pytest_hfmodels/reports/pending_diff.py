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
_STYLES = {"-": "red", "+": "green", "@": "cyan"}


def diff_lines(pending: Pending, root: Path, *, full: bool = False) -> Iterator[Text]:
    """Yield the lines of a diff between the file that a change is about, and what it would hold.

    Args:
        pending: the change. Where the file has changed since, the diff is with what it holds now.
        root: of the project.
        full: whether long lines are not cut.

    Raises:
        SnapshotError: the file cannot be read.
    """

    def line(text: str, style: str = "") -> Text:
        left = 0 if full or is_command(text.strip()) else len(text) - LONGEST
        more = f" … {left:,} more characters: hfmodels diff --full" if left > 0 else ""
        return Text(f"{visible_line(text[:LONGEST] if more else text)}{more}", style)

    earlier, trouble = pending.earlier(root), problem(pending, root)
    yield line(f"{pending.what}: {pending.test}", "bold")
    yield from (line(f"  {why}") for why in (*pending.why, *([trouble.what] if trouble else [])))
    yield line(f"--- {'no snapshot yet' if earlier is None else pending.compared}", "bold")
    yield line(f"+++ {pending.compared}", "bold")
    before, after = (visible(text.replace("\r\n", "\n")) for text in (earlier or "", pending.text))
    yield from (line(found, _STYLES.get(found[0], "")) for found in hunks(before, after))
