"""What a review needs of a terminal: lines, answers, a pager. Nothing else, so that any terminal and ssh will do."""

from __future__ import annotations

import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from pytest_hfmodels.foundation.control_chars import visible_line
from pytest_hfmodels.foundation.shell import is_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType


END_KEYS = ("\x04", "\0")  # Ctrl-D, which is a NUL if it was typed ahead
_LATE = 1.0  # seconds to wait for the rest of a key's sequence, also over a slow connection
_LONGEST = 16  # bytes of a sequence


@contextmanager
def single_keys() -> Iterator[int | None]:
    """Let stdin give each key at once, and yield its file descriptor; None if stdin is no POSIX terminal."""
    try:
        import termios
        import tty

        file = sys.stdin.fileno()
        before = termios.tcgetattr(file)
    except (ImportError, OSError, ValueError, AttributeError, termios.error):
        yield None
        return
    try:
        tty.setcbreak(file, termios.TCSADRAIN)  # what was typed ahead counts; Ctrl-C still interrupts
        yield file
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def _pressed(question: str) -> str | None:
    """Return the next key that is pressed, or None if stdin is no POSIX terminal."""
    with single_keys() as file:
        if file is None:
            return None
        sys.stdout.write(question)
        sys.stdout.flush()
        read = os.read(file, 1)
        # An arrow key is a sequence: bytes left of it would be read as keys, and its last letter accepts a whole group.
        while read[:1] == b"\x1b" and not _is_whole(read) and select.select([file], [], [], _LATE)[0]:
            read += os.read(file, 1)
    key = read.decode(errors="replace")
    if key in ("", *END_KEYS):
        raise EOFError
    return key


def _is_whole(sequence: bytes) -> bool:
    """Return whether an escape sequence (ECMA-48: CSI, SS3, or Esc with a letter) has ended."""
    if sequence[:2] in (b"\x1b", b"\x1b[", b"\x1bO") and len(sequence) < 3:
        return False
    return len(sequence) >= _LONGEST or 0x40 <= sequence[-1] <= 0x7E


def _count(text: str, width: int) -> int:
    """Return how many lines of a terminal a printed text takes."""
    plain = Text.from_ansi(text).plain if "\x1b" in text else text
    return sum(max(1, -(-cell_len(line) // width)) for line in plain.split("\n")[:-1])


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

    def say_within(self, lines: Iterable[RenderableType], last: RenderableType) -> None:
        """Print lines, as many as fit the terminal so that the first stays in sight, and then the `last`."""
        shown = [self._rendered(line) for line in lines]
        end = self._rendered(last)
        room = self._console.size.height - _count(end, self._console.width) - 3  # a blank line on each side, the answer
        left = sum(_count(one, self._console.width) for one in shown)
        for one in shown:
            size = _count(one, self._console.width)
            if size > room - (left > room):
                self._console.print(f"  … {left} more lines: d", soft_wrap=True)
                break
            self._console.file.write(one)
            room, left = room - size, left - size
        self._console.print()
        self._console.file.write(end)

    def _rendered(self, line: RenderableType) -> str:
        with self._console.capture() as captured:
            self.say(line)
        return captured.get()

    def rule(self, title: str) -> None:
        """Print a title with a line behind it."""
        self._console.rule(Text(f"== {visible_line(title)}"), characters="=", align="left", style="")

    def key(self, question: str) -> str:
        """Return the key that somebody presses, without Enter where the terminal lets us; what is no key is empty.

        Raises:
            EOFError: nobody will.
        """
        pressed = _pressed(question)
        if pressed is None:
            return self.ask(question).strip()
        print(pressed if pressed.isprintable() else "")
        return pressed if pressed.isprintable() else ""

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
