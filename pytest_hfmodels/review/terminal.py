"""What a review needs of a terminal: lines, answers, a pager. Nothing else, so that any terminal and ssh will do."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_hfmodels.reports.tint import tint_for

if TYPE_CHECKING:
    from collections.abc import Iterable

_NARROWEST = 40


class Terminal:
    """The terminal that the process was started in."""

    def __init__(self) -> None:
        self.tint = tint_for(sys.stdout)

    @property
    def width(self) -> int:
        """How many columns it has now: people resize."""
        return max(_NARROWEST, shutil.get_terminal_size().columns)

    def say(self, *lines: str) -> None:
        """Print lines."""
        for line in lines:
            print(line)

    def ask(self, question: str) -> str:
        """Return what somebody types.

        Raises:
            EOFError: nobody will.
        """
        sys.stdout.flush()
        return input(question)

    def page(self, lines: Iterable[str]) -> None:
        """Show lines in the pager that the environment names (`PAGER`, else less), or print them."""
        pager = _pager()
        if not sys.stdout.isatty() or shutil.which(pager[0]) is None:
            self.say(*lines)
            return
        sys.stdout.flush()
        text = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
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
