"""The known upstream changes that the evidence about a difference fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.reference.known_changes import fitting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.explanation import Explanation
    from pytest_hfmodels.reference.known_changes import KnownChange

PACKAGE = "transformers"


def fitting_changes(case: Case[Any], found: Explanation) -> Sequence[KnownChange]:
    """Return the known changes with the found cause that hold on one side only and affect the model."""
    before, after = _releases(case)
    if before is None or after is None:
        return ()
    if found.cause == "generation-defaults" and not found.rules:  # the known change is the length's, which is a rule
        return ()
    config = _configuration(case)
    model_type = config.get("model_type")
    return fitting(before, after, cause=found.cause, model_type=model_type, config=config, used={*_used(case)})


def sentences(case: Case[Any], found: Explanation, known: Sequence[KnownChange]) -> Iterator[Evidence]:
    """Yield a sentence for each known change; none if a rule was found, because its sentence says more."""
    before, after = _releases(case)
    if before is None or after is None or found.rules:
        return
    for change in known:
        side = after if change.holds(Version(after)) else before
        yield Evidence(f"This matches a known change of transformers. In {side}: {change.sentence}")


def _releases(case: Case[Any]) -> tuple[str | None, str | None]:
    return case.then.versions.get(PACKAGE), case.now.versions.get(PACKAGE)


def _configuration(case: Case[Any]) -> dict[str, Any]:
    """Return the configuration of the model in memory; empty without one."""
    config: Any = None if case.origin is None else getattr(case.origin.loaded.model, "config", None)
    found: dict[str, Any] = config.to_dict() if hasattr(config, "to_dict") else {}
    return found


def _used(case: Case[Any]) -> Iterator[str]:
    """Yield the features that both sides are known to use."""
    yield from kind_of(case.recorded).features(case.recorded)
    if case.then.dtype == case.now.dtype == "float64":
        yield "float64"
    if case.then.attention == case.now.attention == "sdpa":
        yield "sdpa"
    if case.then.engine == case.now.engine == "tensorflow":
        yield "tensorflow"
    if _is_new_default(case):
        yield "loading"


def _is_new_default(case: Case[Any]) -> bool:
    """Return whether the dtype or the attention changed as the defaults did from the older to the newer release.

    If it changed the other way, the test asked for it.
    """
    releases = _releases(case)
    if None in releases:
        return False
    sides = case.then, case.now
    older, newer = sides if Version(str(releases[0])) < Version(str(releases[1])) else sides[::-1]
    return (older.attention, newer.attention) == ("eager", "sdpa") or older.dtype == "float32" != newer.dtype
