"""The progress of long work in a run of pytest, on the terminal. Imports rich."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from pytest_hfmodels.foundation.control_chars import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


class WorkProgress:
    """Shows a bar for work of a known size, and a line for other work: huggingface_hub has bars of its own.

    Without a terminal it shows nothing, and what is printed stays captured.

    Args:
        config: of the run, which captures what is printed.
        console: where to show it; by default standard error.
    """

    def __init__(self, config: pytest.Config, console: Console | None = None) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._console = console

    @contextmanager
    def __call__(self, what: str, size: int | None) -> Iterator[Callable[[int], object]]:
        """Show a piece of work; see `foundation.progress.Show`."""
        with self._uncaptured():
            console = self._console or Console(file=sys.stderr)
        if not console.is_terminal:
            yield lambda _: None
            return
        with self._uncaptured():
            said = f"hfmodels: {visible_line(what)}"
            console.print(f"\n{said}", markup=False, highlight=False)  # pytest is in the middle of a line
            if size is None:
                yield lambda _: None
                return
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
            with Progress(*columns, console=console, transient=True) as bars:
                task = bars.add_task("", total=size)
                yield lambda done: bars.advance(task, done)

    def _uncaptured(self) -> Any:
        return nullcontext() if self._capture is None else self._capture.global_and_fixture_disabled()
