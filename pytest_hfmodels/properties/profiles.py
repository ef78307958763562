"""How many examples a property gets, and which: profiles `dev`, `ci` and `nightly`. hypothesis is imported inside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_hfmodels.foundation.errors import OptionError
from pytest_hfmodels.options import in_ci

if TYPE_CHECKING:
    from hypothesis import settings

VARIABLE = "HFMODELS_PROFILE"


@dataclass(frozen=True)
class Profile:
    """How to draw.

    Args:
        times: the factor for the number of examples that a test asks for.
        derandomized: draw the same ones at every run; otherwise other ones, and those that failed are tried first.
    """

    times: float
    derandomized: bool


PROFILES = {
    "dev": Profile(times=0.5, derandomized=False),
    "ci": Profile(times=1, derandomized=True),
    "nightly": Profile(times=20, derandomized=False),
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
    slow. A failure prints the line that replays it.

    Args:
        count: examples of profile `ci`; at least one is drawn.
    """
    from hypothesis import HealthCheck, settings

    profile = PROFILES[chosen()]
    kept = {"database": None} if profile.derandomized else {}  # derandomized examples need no database
    return settings(
        max_examples=max(1, round(count * profile.times)),
        derandomize=profile.derandomized,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        **kept,  # type: ignore[arg-type]  # hypothesis has no public name for "as ever"
    )
