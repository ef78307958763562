"""`explain`: the stages in causal order, until one of them names the cause."""

from __future__ import annotations

import math
import sys
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.engines import upstream
from pytest_hfmodels.engines.base import PROCESS_LOCK
from pytest_hfmodels.explain import stages
from pytest_hfmodels.explain.budget import Passes
from pytest_hfmodels.explain.conclusions import checkpoint_finding, conclusion, differs_sentence, made_by
from pytest_hfmodels.explain.explainer import Explainer
from pytest_hfmodels.explain.releases import bisections
from pytest_hfmodels.kinds.explanation import Evidence, Explanation
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_hfmodels.kinds.base import Record
    from pytest_hfmodels.kinds.comparison import Comparison, Difference

_NO_RELEASE = (
    "test",
    "checkpoint:tokenizer",
    "checkpoint:config",
    "checkpoint:weights",
    "dtype",
    "attention",
    "settings",
)


def explain(comparison: Comparison, recorded: Record, observed: Record, *, test: str) -> Explanation:
    """Say why two records differ.

    Costs at most eight forward passes and one `generate` of the model that made `observed`, if that is still in memory.
    Never raises: what goes wrong here becomes a part of the answer.

    Args:
        comparison: of the two, with another verdict than `same`.
        recorded: from the snapshot.
        observed: from the test.
        test: its node id, for commands.
    """
    try:
        with _in_silence():
            found = _explained(comparison, recorded, observed)
    except (KeyboardInterrupt, GeneratorExit, pytest.exit.Exception):
        raise
    except BaseException as error:  # pytest.skip and SystemExit would change the verdict, too
        said = str(error).strip().splitlines()
        found = Explanation(
            comparison.verdict,
            None,
            f"it cannot be told: explaining it failed with {': '.join([type(error).__name__, *said[:1]]):.200}",
        )
    if found.cause in _NO_RELEASE or found.rules:  # the release is known, or none of them is the reason
        return found
    first = observed.provenance.engine if found.cause == "backend" else found.package
    return replace(found, suggests=tuple(bisections(recorded, observed, test, first=first)))


def _explained(comparison: Comparison, recorded: Record, observed: Record) -> Explanation:
    stage = stages.first_stage(comparison)
    if stage == "kind":
        return conclusion(comparison, stages.kind(comparison))
    explainer: Explainer[Any] = kind_of(recorded).explainer() or Explainer()
    found = _of_stage(stage, comparison, recorded, observed, explainer)
    return replace(found, evidence=(*explainer.contradictions(recorded, observed), *found.evidence))


def _of_stage(
    stage: str, comparison: Comparison, recorded: Record, observed: Record, explainer: Explainer[Any]
) -> Explanation:
    source = made_by(observed)
    origin = None if source is None else source.origin
    outside = None if origin is None else stages.outside_vocabulary(recorded, origin, explainer)
    if stage == "prompt":
        if outside is not None and recorded.checkpoint.tokenizer == observed.checkpoint.tokenizer:
            return Explanation(comparison.verdict, None, outside)
        return conclusion(comparison, stages.prompt(recorded, observed, origin))
    if stage == "settings":
        asked = None if source is None else source.settings
        return conclusion(comparison, stages.settings(comparison, recorded, observed, asked, origin, explainer))
    part = stages.checkpoint_part(recorded, observed)
    if outside is not None:  # the model cannot be run over the recorded tokens
        if part is not None:
            return conclusion(comparison, checkpoint_finding(part, [Evidence(outside)], observed))
        return Explanation(comparison.verdict, None, outside)
    broken = _broken(comparison, explainer)
    if broken is not None:
        return Explanation(comparison.verdict, None, differs_sentence(broken))
    passes = None if source is None or origin is None else Passes(origin, source.settings)
    return explainer.output(comparison, recorded, observed, passes)


def _broken(comparison: Comparison, explainer: Explainer[Any]) -> Difference | None:
    """Return the first number that was not finite and is now: nothing can be measured with it."""
    numbers = (found for found in comparison.differences if found.stage == "numbers" and math.isfinite(found.observed))
    return next((found for found in numbers if explainer.is_broken(found)), None)


@contextmanager
def _in_silence() -> Iterator[None]:
    """Keep upstream's output and warnings during the explanation out of the test's own."""
    with PROCESS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with upstream.quiet() if "transformers" in sys.modules else nullcontext():
            yield
