"""What a review needs of a terminal: lines, answers, a pager. Nothing else, so that any terminal and ssh will do."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

_NARROWEST = 40


class Terminal:
    """The terminal that the process was started in."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)

    @property
    def width(self) -> int:
        """How many columns it has now: people resize."""
        return max(_NARROWEST, shutil.get_terminal_size().columns)

    def say(self, *lines: str | Text) -> None:
        """Print lines."""
        for line in lines:
            self._console.print(Text(line) if isinstance(line, str) else line)

    def ask(self, question: str) -> str:
        """Return what somebody types.

        Raises:
            EOFError: nobody will.
        """
        sys.stdout.flush()
        return input(question)

    def page(self, lines: Iterable[Text]) -> None:
        """Show lines in the pager that the environment names (`PAGER`, else less), or print them."""
        pager = _pager()
        if not sys.stdout.isatty() or shutil.which(pager[0]) is None:
            self.say(*lines)
            return
        with self._console.capture() as captured:
            self.say(*lines)
        text = captured.get().encode(errors="backslashreplace")
        environment = {"LESS": "FRX", "LV": "-c", **os.environ}  # colours; and no page for what fits the screen
        with subprocess.Popen(pager, stdin=subprocess.PIPE, env=environment) as process:
            # Closed early, because somebody has read enough; an interrupt is the pager's, which knows what to do.
            with suppress(BrokenPipeError, KeyboardInterrupt):
                process.communicate(text)
            while process.poll() is None:
                with suppress(KeyboardInterrupt):
                    process.wait()


def _pager() -> list[str]:
    try:
        return shlex.split(os.environ.get("PAGER", "")) or ["less"]
    except ValueError:  # a quote without its other
        return ["less"]
