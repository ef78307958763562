"""Where the time of a test goes, by stage. Each stage's time is its own: without that of the stages inside it."""

from __future__ import annotations

import functools
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Given = ParamSpec("Given")

Stage = Literal["import", "resolve", "digest", "load", "generate", "evidence", "compare", "explain", "write"]
STAGES: tuple[Stage, ...] = get_args(Stage)

_SPENT: ContextVar[dict[str, float] | None] = ContextVar("spent", default=None)  # None where nobody measures
_INSIDE: ContextVar[list[float] | None] = ContextVar("inside", default=None)  # seconds of the stages inside this one


class Timed:
    """Adds the seconds of a block, or of a decorated function, to a stage.

    Not a generator and not of `contextlib`: their frames would show in a test's traceback.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        self._spent, self._outer, self._inner = _SPENT.get(), _INSIDE.get(), [0.0]
        if self._spent is not None:
            _INSIDE.set(self._inner)
            self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._spent is not None:
            seconds = time.perf_counter() - self._start
            _INSIDE.set(self._outer)
            self._spent[self._stage] = self._spent.get(self._stage, 0.0) + seconds - self._inner[0]
            if self._outer is not None:
                self._outer[0] += seconds

    def __call__(self, function: Callable[Given, T]) -> Callable[Given, T]:
        """Return a function that does the same, timed."""

        @functools.wraps(function)
        def timed(*arguments: Given.args, **keywords: Given.kwargs) -> T:
            with Timed(self._stage):
                return function(*arguments, **keywords)

        return timed


def measure() -> None:
    """Measure from now on."""
    _SPENT.set({})


def measured() -> dict[str, float]:
    """Return the seconds of each stage since the last call, in the order of STAGES."""
    spent = _SPENT.get() or {}
    if spent:
        measure()
    return {name: round(spent[name], 4) for name in STAGES if name in spent}
