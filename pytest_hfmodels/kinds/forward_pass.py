"""What kinds of one forward pass share when they explain. Imports NumPy; only a failing test needs it."""

# ruff: noqa: ARG002 - defaults ignore what overrides read

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pytest_hfmodels.explain import mutations, stages
from pytest_hfmodels.explain.ablation import Measured
from pytest_hfmodels.explain.explainer import Explainer
from pytest_hfmodels.explain.forward_pass import largest, moved_evidence
from pytest_hfmodels.kinds.base import R
from pytest_hfmodels.kinds.evidence import fingerprint
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.inputs import ROUNDING, inputs_differ
from pytest_hfmodels.kinds.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.evidence import LivePass
    from pytest_hfmodels.kinds.explanation import Explanation
    from pytest_hfmodels.kinds.inputs import ModelInput
    from pytest_hfmodels.kinds.tolerance import Tie

    Rows = Sequence[Sequence[float] | NDArray[Any]]


class ForwardPassExplainer(Explainer[R]):
    """Explains records of one forward pass, whose `live` is a `LivePass`.

    A kind says with `rows` which numbers a record holds, and with `read` how to take them from a forward pass. It
    overrides the other methods only where it decides something by those numbers.
    """

    row: ClassVar[str] = "text"  # a row of the batch, for a reader
    compared: ClassVar[str] = "numbers"  # what `rows` returns, for a reader
    decisions = "readings"

    def rows(self, record: R) -> Rows:
        """Return the numbers of a record, one list a row of the batch."""
        raise NotImplementedError

    def read(self, record: R, seen: Any, live: LivePass) -> Rows:
        """Return the same numbers of a forward pass.

        Args:
            record: the recorded side.
            seen: what the model returned (`Observation`).
            live: the inputs of this pass. It may hold one row of the batch; `live.first` is its number.
        """
        raise NotImplementedError

    def run(self, case: Case[R], live: LivePass, loaded: LoadedModel | None) -> Any:
        """Run the model, or another load of it, over inputs."""
        assert case.passes is not None
        return case.passes.observe(live.inputs, loaded)

    def processed(self, record: R) -> Sequence[ModelInput]:
        """Return what a processor made of images or sounds."""
        return ()

    def ties(self, case: Case[R]) -> Iterable[Tie]:
        """Return the figures of every decision that fell the other way."""
        return ()

    def decided(self, case: Case[R], drift: float, evidence: list[Evidence]) -> Explanation:
        """Explain a record whose numbers moved within the noise floor; `evidence` is how far they moved, and ties."""
        if case.passes is None:
            return self.without_model(case, evidence)
        return self.within_the_floor(case, drift, evidence, always=True)

    def rule(self, case: Case[R], evidence: list[Evidence]) -> Explanation | None:
        """Explain numbers that moved by a rule of the recording release; None if no rule changed."""
        return None

    def inputs(self, case: Case[R]) -> Explanation:
        """Explain other inputs of the model for what the test gives."""
        return stages.inputs(case, "preprocessor" if self.processed(case.recorded) else "tokenizer")

    def output(self, case: Case[R]) -> Explanation:
        """Explain another structure, other inputs, or numbers beyond the noise floor; else hand over to `decided`."""
        first = case.comparison.differences[0]
        if first.stage == "structure":
            return stages.structure(case, first)
        tie = max(self.ties(case), key=lambda tie: tie.margin, default=None)
        close = [] if tie is None else [tie.evidence]
        recorded, observed = self.rows(case.recorded), self.rows(case.observed)
        if [len(row) for row in recorded] != [len(row) for row in observed]:
            said = f"the model gives a different number of {self.compared}"
            return stages.of_structure(case, said, close)
        drift = largest(rows_moved(recorded, observed))
        made = self.processed(case.observed)
        moved = [*inputs_differ(self.processed(case.recorded), made, ROUNDING)]
        if moved:
            return stages.inputs(case, "preprocessor", made, moved)
        said = f"the {self.compared} moved by at most {drift:.2g}"
        evidence = [moved_evidence(case, said, drift), *close]
        if drift <= case.floor:
            return self.decided(case, drift, evidence)
        if case.passes is None:
            return self.without_model(case, evidence)
        found = self.rule(case, evidence) if case.part is None else None
        if found is not None:
            return found
        found = self.beyond_the_floor(case, drift, case.observed.blocks, evidence)
        alone = self.alone(case) if found.cause == "forward" else []
        return replace(found, evidence=(*found.evidence, *alone))

    def measure(self, case: Case[R], loaded: LoadedModel | None) -> Measured:
        """Run the model over the recorded inputs."""
        live: LivePass = case.observed.live
        seen = self.run(case, live, loaded)
        moved = rows_moved(self.rows(case.recorded), self.read(case.recorded, seen, live))
        encoder = getattr(seen, "encoder", 0)  # as its record does it
        return Measured(largest(moved), fingerprint(seen.hidden_states, None if encoder else live.mask, encoder))

    def rounding(self, case: Case[R], loaded: LoadedModel) -> float:
        """Return how far the numbers moved that another load gives now."""
        live: LivePass = case.observed.live
        return self.scaled(case.observed, self.read(case.observed, self.run(case, live, loaded), live))

    def other_ways(self, case: Case[R]) -> list[Callable[[], float]]:
        """Return the first row of several on its own."""
        return [partial(self._alone, case)] if len(self.rows(case.observed)) > 1 else []

    def scaled(self, record: R, now: Rows) -> float:
        """Return how far numbers of the first rows moved, in what the tolerance allows: large ones may move further."""
        relative = kind_of(record).relative
        pairs = list(zip(self.rows(record), now, strict=False))
        sizes = [1 + relative * np.abs(np.asarray(row, np.float64)) for row, _ in pairs]
        sides = zip(
            *([np.asarray(one) / size for one in pair] for pair, size in zip(pairs, sizes, strict=True)), strict=True
        )
        return largest(rows_moved(*sides))

    def _alone(self, case: Case[R]) -> float:
        """Return how far the numbers of the first row are from those of that row on its own, without padding."""
        live = case.observed.live.alone(0)
        return self.scaled(case.observed, self.read(case.observed, self.run(case, live, None), live)[:1])

    def is_given(self, case: Case[R], difference: Difference) -> bool:
        """Return whether the test asks for it, also for settings of its own that no model resolves."""
        return stages.is_of_the_test(difference.what) or super().is_given(case, difference)

    def alone(self, case: Case[R]) -> list[Evidence]:
        """Return whether the row that moved most is as recorded once it is alone, without padding."""
        recorded = self.rows(case.recorded)
        if len(recorded) < 2:
            return []
        moved = rows_moved(recorded, self.rows(case.observed))
        worst = moved.index(max(moved))
        live = case.observed.live.alone(worst)
        (own,) = self.read(case.recorded, self.run(case, live, None), live)
        (after,) = rows_moved([recorded[worst]], [own])
        said = f"{self.row} {worst + 1} moved most, by {moved[worst]:.2g}; run on its own it "
        if after <= moved[worst] / 4:
            said += f"matches the recorded numbers within {after:.2g}"
        else:
            said += f"still differs by {after:.2g}, so batching is not the reason"
        return [Evidence(said, {"input": worst, "before": moved[worst], "after": after})]


def rows_moved(recorded: Rows, observed: Rows) -> list[float]:
    """Return how far the numbers of each row moved at most; infinite if there are more or fewer of them, or NaN."""
    found = []
    for before, now in zip(recorded, observed, strict=True):
        then, here = np.asarray(before, np.float64), np.asarray(now, np.float64)
        if then.shape != here.shape:
            found.append(np.inf)
            continue
        with np.errstate(invalid="ignore"):
            moved = np.where(then == here, 0.0, np.abs(then - here))
        found.append(np.inf if np.isnan(moved).any() else float(moved.max(initial=0.0)))
    return found


def other_labels(case: Case[Any], pairs: Iterable[tuple[str, str]], evidence: Sequence[Evidence]) -> Explanation:
    """Explain other labels of the same numbers: the test, the checkpoint's id2label, or how the library reads them."""
    names = [f"{before!r:.40} is {now!r:.40} now" for before, now in pairs if before != now]
    evidence = [*evidence, *([Evidence(f"labels: {', '.join(dict.fromkeys(names))}")] if names else [])]
    overridden = case.changed_overrides(("id2label", "label2id"))
    if overridden:
        return case.because("test", case.overrides_sentence(overridden), evidence)
    changes = mutations.of_settings(case.origin, ["id2label"])
    if changes:
        return case.because("test", mutations.sentence(changes), evidence)
    if case.part == "config":
        said = "the checkpoint's configuration has changed, and names the labels differently (id2label)"
        return case.of_files("config", said, evidence)
    return case.because("decoding", "the same numbers give different labels", evidence)
