"""Measures how far rounding moves the numbers of a record, with the model that made it. Imports NumPy.

For what writes a snapshot. What a kind measures, it says in its explainer.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain.ablation import OTHER_KERNEL
from pytest_hfmodels.explain.case import Case
from pytest_hfmodels.explain.silence import in_silence
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.comparison import Comparison
from pytest_hfmodels.kinds.registry import kind_of
from pytest_hfmodels.kinds.tolerance import Tolerance, is_doubtful, largest_floor, stated_floor, tolerance_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_hfmodels.explain.explainer import Explainer
    from pytest_hfmodels.kinds import Record
    from pytest_hfmodels.kinds.evidence import LiveModel


def measured_floor(record: Record) -> float | None:
    """Return the noise floor of a record, as its file states it; None if nothing could be measured.

    Costs at most four forward passes and two loads. What cannot be computed in another way is left out: an adopted
    model is not loaded again, and TensorFlow has one attention kernel.
    """
    explainer, dtype = kind_of(record).explainer(), record.provenance.dtype
    case = Case[Any].of(Comparison(Verdict.SAME, (), 0.0, Tolerance(0.0)), record, record)
    if explainer is None or case.passes is None:
        return None
    measured = _Measured(explainer, case, case.passes.origin)
    with in_silence():
        moved = measured.movements([measured.on_other_threads])
        if any(one > largest_floor(dtype) for one in moved):
            return None  # the model no longer gives the recorded numbers: a hook was there only during the call
        by_kernel = measured.movements(measured.kernels())
        moved += [*measured.movements(measured.ways()), *by_kernel]
        exact: list[float] = []
        if dtype != "float64" and (not any(by_kernel) or is_doubtful(moved, dtype)):
            # A kernel may be wrong. If it only rounds, float64 is about as far away from the record.
            exact = measured.movements([partial(measured.loaded_with, dtype="float64")])
    return stated_floor(moved, dtype, exact)


@dataclass(frozen=True)
class _Measured:
    """A record, and the model that made it."""

    explainer: Explainer[Any]
    case: Case[Any]
    origin: LiveModel

    def movements(self, ways: Iterable[Callable[[], float]]) -> list[float]:
        """Return how far the numbers move; what is not possible moves none."""
        moved = []
        for way in ways:
            try:
                moved.append(way())
            except Exception:  # a release without that attention, inputs that have no single row
                continue
        return moved

    def ways(self) -> Iterator[Callable[[], float]]:
        """Yield other ways in which this model computes the numbers; each returns how far they then move."""
        with suppress(Exception):  # a foreign kind may fail here; its snapshot is still written
            yield from self.explainer.other_ways(self.case)

    def kernels(self) -> Iterator[Callable[[], float]]:
        """Yield the same for the other attention kernel, if the engine has one."""
        attention = OTHER_KERNEL.get(self.case.now.attention) if self.case.now.engine == "torch" else None
        if attention is not None:
            yield partial(self.loaded_with, attention=attention)

    def on_other_threads(self) -> float:
        """Run the model on another number of threads."""
        with self.origin.loaded.on_other_threads():
            return self.explainer.rounding(self.case, self.origin.loaded)

    def loaded_with(self, **changes: str) -> float:
        """Load the model again, with another setting.

        Raises:
            LookupError: it cannot be loaded a second time, or the test has changed it.
        """
        other = self.origin.again(**changes)
        if other is None or self.origin.altered(weights=False):
            raise LookupError("no second load has the same weights")
        moved = self.explainer.rounding(self.case, other)
        # A checksum of the weights takes time, so it is computed only if they may be others.
        beyond = moved > tolerance_for(self.case.now.dtype, same_engine=True).absolute
        if beyond and self.origin.weights_written():
            raise LookupError("the weights in memory were written in place")
        return moved
