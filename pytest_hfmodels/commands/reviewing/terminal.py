"""What a review needs of a terminal: lines, answers, a pager. Nothing else, so that any terminal and ssh will do."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.shell import is_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType


class Terminal:
    """The terminal that the process was started in."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False)

    def say(self, *lines: RenderableType) -> None:
        """Print lines, unseen characters spelt out; a command stays on one line, so that it can be copied."""
        for line in lines:
            shown = Text(visible_line(line)) if isinstance(line, str) else line
            whole = is_command(str(line).strip())
            self._console.print(shown, overflow=None if whole else "fold", soft_wrap=whole)

    def rule(self, title: str) -> None:
        """Print a title with a line behind it."""
        self._console.rule(Text(f"== {visible_line(title)}"), characters="=", align="left", style="")

    def ask(self, question: str) -> str:
        """Return what somebody types.

        Raises:
            EOFError: nobody will.
        """
        sys.stdout.flush()
        return input(question)

    def page(self, lines: Iterable[Text]) -> None:
        """Show lines in the pager that the environment names (`PAGER`, else less), or print them."""
        os.environ.setdefault("LESS", "FRX")  # colours; and no page for what fits the screen
        with self._console.pager(styles=True):
            for line in lines:
                self._console.print(line, soft_wrap=True)
