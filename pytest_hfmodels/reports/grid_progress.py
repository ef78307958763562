"""How a run over rows gets on: a live table on a terminal, a line a step elsewhere; on standard error. Imports rich."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pytest_hfmodels.control_chars import visible_line
from pytest_hfmodels.reports.grid_terminal import console

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from rich.console import Console
    from rich.progress import TaskID

_EVERY = 0.5  # seconds between two looks at how many tests have begun


class GridProgress:
    """Hears of rows from several threads and shows it; a context manager."""

    def __init__(self, to: Console | None = None) -> None:
        self._console = to or console(stderr=True)
        self._live = _LiveRows(self._console) if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def says(self, text: str) -> None:
        """Show a line about the whole run."""
        self._console.print(visible_line(text), soft_wrap=True)

    def begins(self, row: str, doing: str, events: Path | None = None) -> None:
        """Show what a row does now; `events` is where its tests are counted."""
        row, doing = visible_line(row), visible_line(doing)
        if self._live is not None:
            self._live.begins(row, doing, events)
        else:
            self._console.print(f"{row}: {doing}", soft_wrap=True)

    def ends(self, row: str, text: str) -> None:
        """Show that a row is done."""
        row, text = visible_line(row), visible_line(text)
        if self._live is not None:
            self._live.ends(row)
        self._console.print(f"{row}: {text}", soft_wrap=True)


class _LiveRows:
    """One bar a row that is at work."""

    def __init__(self, to: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[doing]}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            console=to,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._watched: dict[str, Path] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._progress.start()
        self._watcher.start()

    def stop(self) -> None:
        self._over.set()
        self._watcher.join()
        self._progress.stop()

    def begins(self, row: str, doing: str, events: Path | None) -> None:
        with self._lock:
            if row not in self._tasks:
                self._tasks[row] = self._progress.add_task(row, total=None, doing=doing, count="")
            self._progress.update(self._tasks[row], doing=doing)
            if events is not None:
                self._watched[row] = events

    def ends(self, row: str) -> None:
        with self._lock:
            self._watched.pop(row, None)
            task = self._tasks.pop(row, None)
            if task is not None:
                self._progress.remove_task(task)

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            with self._lock:
                for row, events in self._watched.items():
                    began, collected = counted(events)
                    if collected:
                        told = f"{began}/{collected}"
                        self._progress.update(self._tasks[row], completed=began, total=collected, count=told)


def counted(events: Path) -> tuple[int, int]:
    """Return how many tests have begun, and how many there are; zeros while nobody knows."""
    began, collected = set(), 0
    try:
        lines = events.read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0, 0
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # half a line: it is being written
        began.add(event.get("began"))
        collected = max(collected, len(event.get("collected", ())))
    return len(began - {None}), collected
