"""A terminal in which somebody has typed everything beforehand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console

from pytest_hfmodels.commands.reviewing.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.text import Text


class Scripted(Terminal):
    """Answers in turn; an answer that is a function is called, and what it returns is typed.

    Args:
        answers: what is typed; after the last, the input has ended.
        width: columns.
    """

    def __init__(self, *answers: str | Callable[[], str], width: int = 80, height: int = 200) -> None:
        self._file = io.StringIO()
        super().__init__(Console(file=self._file, width=width, height=height, highlight=False, markup=False))
        self._answers = list(answers)
        self.asked: list[str] = []
        self.paged: list[str] = []

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._file.getvalue().splitlines()]

    def ask(self, question: str) -> str:
        self.asked.append(question)
        if not self._answers:
            raise EOFError
        answer = self._answers.pop(0)
        return answer if isinstance(answer, str) else answer()

    def key(self, question: str) -> str:
        return self.ask(question).strip()

    def page(self, lines: Iterable[Text]) -> None:
        self.paged += map(str, lines)
