"""The known upstream changes that the evidence about a difference fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.version import Version

from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.reference.known_changes import fitting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.explanation import Explanation

PACKAGE = "transformers"


def known_changes_of(case: Case[Any], found: Explanation) -> Iterator[Evidence]:
    """Yield a sentence for each known change with the found cause that holds on one side only and reaches the model.

    A rule that was found is such a change already, and was checked against the output.
    """
    before, after = (side.versions.get(PACKAGE) for side in (case.then, case.now))
    if found.rules or before is None or after is None:
        return
    config = _configuration(case)
    known = fitting(
        before,
        after,
        cause=found.cause,
        model_type=config.get("model_type"),
        config=config,
        used={*_used(case)},
    )
    for change in known:
        side = after if change.holds(Version(after)) else before
        yield Evidence(f"This matches a known change of transformers. In {side}: {change.sentence}")


def _configuration(case: Case[Any]) -> dict[str, Any]:
    """Return the configuration of the model in memory; empty without one."""
    config: Any = None if case.origin is None else getattr(case.origin.loaded.model, "config", None)
    found: dict[str, Any] = config.to_dict() if hasattr(config, "to_dict") else {}
    return found


def _used(case: Case[Any]) -> Iterator[str]:
    """Yield the features that both sides are known to use."""
    settings = getattr(case.recorded, "effective", None)
    if settings is not None:
        yield "generation"
        if dict(settings).get("num_beams", 1) > 1:
            yield "beams"
    if kind_of(case.recorded).name == "classification":
        yield "classifier"
    if case.then.dtype == case.now.dtype == "float64":
        yield "float64"
    if case.then.attention == case.now.attention == "sdpa":
        yield "sdpa"
    if case.then.engine == case.now.engine == "tensorflow":
        yield "tensorflow"
