"""`explain`: the stages in causal order, until one of them names the cause."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hfmodels.explain import stages
from pytest_hfmodels.explain.case import Case
from pytest_hfmodels.explain.explainer import Explainer, differs_sentence, of_checkpoint
from pytest_hfmodels.explain.known import fitting_changes, sentences
from pytest_hfmodels.explain.silence import in_silence
from pytest_hfmodels.foundation.shell import operand
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import Comparison
from pytest_hfmodels.kinds.explanation import Evidence, Explanation
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.kinds.tolerance import Tolerance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hfmodels.kinds.base import Record

# No release is to blame for these.
_NO_RELEASE = (
    *("test", "checkpoint:chat-template", "checkpoint:preprocessor", "checkpoint:tokenizer", "checkpoint:config"),
    *("checkpoint:weights", "dtype", "attention", "settings"),
)


def explain(
    comparison: Comparison, recorded: Record, observed: Record, *, test: str, options: Sequence[str] = ()
) -> Explanation:
    """Say why two records differ.

    Costs at most nine forward passes and one `generate` of the model that made `observed`, if that is still in memory.
    Never raises: an error here becomes part of the answer.

    Args:
        comparison: of the two, with another verdict than `same`.
        recorded: from the snapshot.
        observed: from the test.
        test: its node id, for commands.
        options: of pytest, without which it does not find the test.
    """
    case: Case[Any] = Case.of(comparison, recorded, observed)
    try:
        with in_silence():
            found = _explained(case)
            known = fitting_changes(case, found)
            evidence = (*found.evidence, *sentences(case, found, known))
            found = replace(found, evidence=evidence, known=tuple(change.name for change in known))
    except (KeyboardInterrupt, GeneratorExit, pytest.exit.Exception):
        raise
    except BaseException as error:  # pytest.skip and SystemExit would change the verdict, too
        said = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
        found = case.because(None, f"explaining it failed with {said:.200}")
    if found.rules:
        found = replace(found, releases=case.old_releases(found.rules))
    if found.cause in _NO_RELEASE or found.rules:  # the release is known, or none of them is the reason
        return found
    first = case.now.engine if found.cause == "backend" else found.package
    return replace(found, suggests=tuple(case.bisections([*options, operand(test)], first)))


def _explained(case: Case[Any]) -> Explanation:
    stage = case.comparison.differences[0].stage
    if stage == "kind":
        return stages.kind(case)
    explainer: Explainer[Any] = kind_of(case.recorded).explainer() or Explainer()
    found = _of_stage(stage, case, explainer)
    return replace(found, evidence=(*explainer.contradictions(case), *found.evidence))


def _of_stage(stage: str, case: Case[Any], explainer: Explainer[Any]) -> Explanation:
    if stage == "settings":
        return stages.settings(case, explainer)
    if stage == "inputs":
        return explainer.inputs(case)
    outside = stages.outside_vocabulary(case, explainer)
    if stage == "prompt":
        same_files = stages.same_files(case, "tokenizer") is not False
        return case.because(None, outside) if outside and same_files else stages.prompt(case, explainer)
    if outside is not None:  # the model cannot be run over the recorded tokens
        evidence = [Evidence(outside)]
        return case.because(None, outside) if case.part is None else of_checkpoint(case, case.part, evidence)
    numbers = [one for one in case.comparison.differences if one.stage == "numbers" and math.isfinite(one.observed)]
    broken = next(filter(explainer.is_broken, numbers), None)
    if broken is not None:  # it was not finite and is now: nothing can be measured with it
        return case.because(None, differs_sentence(broken))
    changed = None if stage in ("template", "structure", "text") else _changed_since_the_test(case, explainer)
    return explainer.output(case) if changed is None else case.because(None, changed)


def _changed_since_the_test(case: Case[Any], explainer: Explainer[Any]) -> str | None:
    """Return how the model computes otherwise than it did in the test, or than a snapshot records; else None."""
    if case.now.engine == "torch" and _is_autocast(case.now.device):
        return "torch.autocast is on. A snapshot does not record that, so the cause is unknown"
    if _is_unchanged(case, explainer):
        return None
    said = (
        "the model no longer gives the numbers that it gave in the test: it was changed during the call and restored "
    )
    return f"{said}(a hook, a patch, autocast), or it was changed after the call"


def _is_autocast(device: str) -> bool:
    """Return whether torch computes in another dtype than the model's on a device (`cuda:0`)."""
    torch = sys.modules.get("torch")
    if torch is None or not device:
        return False
    try:
        return bool(torch.is_autocast_enabled(device.partition(":")[0]))
    except (TypeError, RuntimeError):  # before torch 2.4, or a device without autocast
        return bool(torch.is_autocast_enabled() or torch.is_autocast_cpu_enabled())


def _is_unchanged(case: Case[Any], explainer: Explainer[Any]) -> bool:
    """Return whether the model in memory still gives the observed numbers; True if it cannot compute them again."""
    if case.passes is None:
        return True
    same = Comparison(Verdict.SAME, (), 0.0, Tolerance(0.0))
    again = Case(same, case.observed, case.observed, case.asked, case.passes)
    try:
        return explainer.is_unchanged(again, case.passes.origin.loaded)
    except Exception:  # a kind without numbers, or a model that cannot compute these again
        return True
