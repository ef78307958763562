"""How many examples a property gets, and which: profiles `dev`, `ci` and `nightly`. hypothesis is imported inside."""

from __future__ import annotations

import functools
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.options import in_ci

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis import settings

VARIABLE = "HFMODELS_PROFILE"


@dataclass(frozen=True)
class Profile:
    """How to draw.

    Args:
        times: the factor for the number of examples that a test asks for.
        derandomized: draw the same ones at every run; otherwise other ones, and those that failed are tried first.
        shrinking: how long a failure is made simpler, seconds.
    """

    times: float
    derandomized: bool
    shrinking: float = 10.0


PROFILES = {
    "dev": Profile(times=0.5, derandomized=False),
    "ci": Profile(times=1, derandomized=True),
    "nightly": Profile(times=20, derandomized=False, shrinking=300.0),
}


def chosen() -> str:
    """Return the name of the active profile: HFMODELS_PROFILE, otherwise `ci` if CI is set, otherwise `dev`.

    Raises:
        OptionError: the profile does not exist.
    """
    name = os.environ.get(VARIABLE) or ("ci" if in_ci() else "dev")
    if name not in PROFILES:
        raise OptionError(f"There is no profile {name!r}.", hint=f"Choose one of: {', '.join(PROFILES)}.")
    return name


def examples(count: int) -> settings:
    """Return a decorator for a property that gets `count` examples in profile `ci`, and more or fewer in the others.

    Use it instead of hypothesis's own `settings`. There is no deadline, because the first `generate` of a process is
    slow. A failure prints the line that replays it, within ten seconds (in `nightly` five minutes) of the first one.

    Args:
        count: examples of profile `ci`; at least one is drawn.
    """
    from hypothesis import HealthCheck, settings

    profile = PROFILES[chosen()]
    kept = {"database": None} if profile.derandomized else {}  # derandomized examples need no database

    class Budgeted(settings):
        """hypothesis has no setting for the time of shrinking."""

        def __call__(self, test: Any) -> Any:
            decorated: Any = super().__call__(test)
            handle = decorated.hypothesis  # for plugins, as hypothesis documents
            handle.inner_test = _within(profile.shrinking, handle.inner_test)
            return decorated

    return Budgeted(
        max_examples=max(1, round(count * profile.times)),
        derandomize=profile.derandomized,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        **kept,  # type: ignore[arg-type]  # hypothesis has no public name for "as ever"
    )


def _within(seconds: float, inner: Callable[..., object]) -> Callable[..., object]:
    """Refuse further examples once shrinking has taken its time; hypothesis then shows the simplest one so far."""
    from hypothesis import note
    from hypothesis.control import current_build_context

    failures = _Failures()

    @functools.wraps(inner)
    def run(*arguments: Any, **keywords: Any) -> object:
        __tracebackhide__ = True
        context, over = current_build_context(), failures.seconds() > seconds
        final = context.is_final  # hypothesis replays what it is about to show
        if over and not final:
            context.data.mark_overrun()  # as if it drew too much: hypothesis accepts that at any point
        if over:
            note(f"Shrinking stopped after {seconds:g} s: a simpler example may fail, too.")
        failures.forget_if(final)
        with failures:
            return inner(*arguments, **keywords)

    return run


class _Failures:
    """Remembers when the running test failed first.

    Every line runs in every example: hypothesis shows the lines that run in failing ones only.
    """

    def __init__(self) -> None:
        self._first: dict[str, float] = {}

    def seconds(self) -> float:
        """Return how long ago that was; 0 if it has not failed."""
        return time.monotonic() - self._first.get(_running(), time.monotonic())

    def forget_if(self, ended: bool) -> None:
        """Start anew: the same function may run on another engine."""
        self._first = {} if ended else self._first

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        failed = kind is not None and issubclass(kind, Exception) and not kind.__module__.startswith("hypothesis.")
        self._first |= {_running(): time.monotonic()} if failed and _running() not in self._first else {}


def _running() -> str:
    return os.environ.get("PYTEST_CURRENT_TEST", "")
