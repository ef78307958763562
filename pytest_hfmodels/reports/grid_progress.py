"""The progress of a run over rows, on standard error: live on a terminal, a line a step elsewhere. Imports rich."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.reports.grid_terminal import console

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from rich.console import Console
    from rich.progress import Task, TaskID


class _CountedTests(ProgressColumn):
    """How many of a row's tests have begun."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Return `12/78`, or nothing while it is unknown."""
        began, collected = counted(task.fields["events"]) if task.fields["events"] else (0, 0)
        return Text(f"{began}/{collected}" if collected else "")


class GridProgress:
    """Shows what rows do, from several threads; a context manager."""

    def __init__(self, to: Console | None = None) -> None:
        self._console = to or console(stderr=True)
        texts = (TextColumn(f"{{task.{name}}}", markup=False) for name in ("description", "fields[doing]"))
        columns = (SpinnerColumn(), *texts, _CountedTests(), TimeElapsedColumn())
        live = self._console.is_terminal
        self._bars = Progress(*columns, console=self._console, transient=True, disable=not live)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def says(self, text: str) -> None:
        """Show a line about the whole run."""
        self._console.print(visible_line(text), soft_wrap=True)

    def begins(self, row: str, doing: str, events: Path | None = None) -> None:
        """Show what a row does now; its tests are counted in `events`."""
        if self._bars.disable:
            self.says(f"{row}: {doing}")
            return
        if row not in self._tasks:
            self._tasks[row] = self._bars.add_task(visible_line(row), total=None, doing="", events=None)
        self._bars.update(self._tasks[row], doing=visible_line(doing), events=events)

    def ends(self, row: str, text: str) -> None:
        """Show that a row is done."""
        if row in self._tasks:
            self._bars.remove_task(self._tasks.pop(row))
        self.says(f"{row}: {text}")


def counted(events: Path) -> tuple[int, int]:
    """Return how many tests have begun, and how many there are; zeros while it is unknown."""
    began, collected = set(), 0
    with suppress(OSError):
        for line in events.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):  # half a line: it is being written
                event = json.loads(line)
                began.add(event.get("began"))
                collected = max(collected, len(event.get("collected", ())))
    return len(began - {None}), collected
