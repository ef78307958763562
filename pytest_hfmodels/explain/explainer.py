"""What a kind of record adds to explaining: what its model was asked, and why its output differs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_hfmodels.explain.conclusions import unexplained
from pytest_hfmodels.explain.stages import Diagnosis
from pytest_hfmodels.kinds.base import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds.comparison import Comparison, Difference
    from pytest_hfmodels.kinds.explanation import Evidence, Explanation

R = TypeVar("R", bound=Record)


def _no_tokens(_record: Any) -> tuple[()]:
    return ()


def _is_asked(difference: Difference, asked: Mapping[str, Any] | None, _observed: Any) -> bool:
    return asked is not None and difference.what in asked


def _other_settings(_recorded: Any, _observed: Any, names: Sequence[str], evidence: list[Evidence]) -> Diagnosis:
    return Diagnosis("settings", f"the settings differ from the recorded ones: {', '.join(names)}", evidence)


def _is_not_finite(difference: Difference) -> bool:
    return not math.isfinite(difference.recorded)


def _consistent(_recorded: Any, _observed: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Explainer(Generic[R]):
    """What is particular to explaining a kind. Each default suits a record without a model.

    Args:
        output: of the comparison, both records and the model (None if it is no longer in memory): why numbers, ids,
            labels or texts differ, after the same prompt with the same settings.
        output_ids: of a record: token ids that the model must have, besides those of the prompt.
        is_given: of a setting that differs, what the test asked for (None if unknown) and the observed record:
            whether the test asks for the observed value.
        settings: of both records, the names of other settings that the test does not ask for, and evidence: the
            cause, if neither the checkpoint nor the test is it.
        is_broken: of a number that differs: whether the recorded one is not finite although it must be.
        contradictions: of both records: evidence that one of them contradicts itself.
    """

    output: Callable[[Comparison, R, R, Passes | None], Explanation] = unexplained
    output_ids: Callable[[R], Iterable[Sequence[int]]] = _no_tokens
    is_given: Callable[[Difference, Mapping[str, Any] | None, R], bool] = _is_asked
    settings: Callable[[R, R, Sequence[str], list[Evidence]], Diagnosis] = _other_settings
    is_broken: Callable[[Difference], bool] = _is_not_finite
    contradictions: Callable[[R, R], Iterable[Evidence]] = _consistent
