"""Why a batch differs: the row that differs, explained as a generation, unless the other rows change it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from pytest_hfmodels.explain import mutations, stages
from pytest_hfmodels.explain.case import Case, rules_of
from pytest_hfmodels.explain.explainer import Explainer
from pytest_hfmodels.explain.forward_pass import largest
from pytest_hfmodels.foundation.verdicts import Verdict
from pytest_hfmodels.kinds.batch.kind import row_differences
from pytest_hfmodels.kinds.batch.record import BatchRecord
from pytest_hfmodels.kinds.comparison import largest_movement
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.generation.explain import EXPLAINER as GENERATION
from pytest_hfmodels.kinds.generation.explain import GenerationExplainer, generating
from pytest_hfmodels.kinds.generation.kind import KIND
from pytest_hfmodels.kinds.generation.media import placeholder_of
from pytest_hfmodels.kinds.generation.observe import observe_generation
from pytest_hfmodels.kinds.generation.teacher import (
    TeacherForcedPass,
    media_of,
    rounding,
    rounding_of_the_cache,
    scores_moved,
    teacher_forced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.kinds.comparison import Difference
    from pytest_hfmodels.kinds.explanation import Explanation
    from pytest_hfmodels.kinds.generation.media import Media
    from pytest_hfmodels.kinds.generation.record import GenerationRecord

    BatchCase = Case[BatchRecord]
    RowCase = Case[GenerationRecord]

_OF_A_BLOCK = 0.01  # of its size: in half precision, a batch moves a fingerprint by less
_LENGTHS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")


class _Batch(Explainer[BatchRecord]):
    decisions = "tokens"

    def output(self, case: BatchCase) -> Explanation:
        cases = _row_cases(case)
        number = _first(case, cases)
        row = cases[number]
        found = _Row(case, number).output(row)
        if case.passes is not None and row.comparison.differences[0].stage != "text":
            start = row.observed.start
            media = _media_of(case, number)
            if media is not None:
                found = _beside_its_neighbours(row, found, len(start) if start else case.observed.length, media)
        others = [str(other + 1) for other in cases if other != number]
        more = [Evidence(f"rows {', '.join(others)} differ, too")] if others else []
        verdict = Verdict.CHANGED if found.verdict == Verdict.CHANGED else case.comparison.verdict
        sentence = f"row {number + 1}: {found.sentence}"
        return replace(found, verdict=verdict, sentence=sentence, evidence=(*found.evidence, *more))

    def inputs(self, case: BatchCase) -> Explanation:
        return stages.inputs(
            case, "preprocessor", case.observed.rows[0].processed, given=case.recorded.rows[0].processed
        )

    def rounding(self, case: BatchCase, loaded: LoadedModel) -> float:
        assert case.passes is not None
        return rounding(case.passes, case.observed.rows, loaded)

    def is_unchanged(self, case: BatchCase, loaded: LoadedModel) -> bool:
        """Compare the fingerprints of one row, because the log-probabilities of a batch come from the cache."""
        batch, passes = case.observed, case.passes
        if passes is None or batch.fingerprinted is None or batch.rows[0].media:
            return True
        seen = teacher_forced(passes, batch.rows, media_of(batch.rows[0]), loaded, batch.fingerprinted)
        pairs = zip(batch.blocks, seen[0].blocks, strict=True)
        moved = max((largest_movement(then.normalized, now.normalized) for then, now in pairs), default=0.0)
        return not moved > _OF_A_BLOCK

    def other_ways(self, case: BatchCase) -> list[Callable[[], float]]:
        return [partial(rounding_of_the_cache, case.observed.rows)]

    def output_ids(self, record: BatchRecord) -> Iterator[Sequence[int]]:
        return chain.from_iterable(GENERATION.output_ids(row) for row in record.rows)

    def is_broken(self, difference: Difference) -> bool:
        return GENERATION.is_broken(difference)

    def is_given(self, case: BatchCase, difference: Difference) -> bool:
        return GENERATION.is_given(_longest(case), difference)

    def is_configured(self, case: BatchCase, names: Sequence[str]) -> bool:
        return GENERATION.is_configured(_longest(case), names)

    def by_a_rule(self, case: BatchCase, names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation | None:
        return GENERATION.by_a_rule(_longest(case), names, evidence)

    def settings(self, case: BatchCase, names: Sequence[str], evidence: Sequence[Evidence]) -> Explanation:
        return GENERATION.settings(_longest(case), names, evidence)

    def contradictions(self, case: BatchCase) -> Iterator[Evidence]:
        for number, row in _row_cases(case).items():
            for found in GENERATION.contradictions(row):
                yield replace(found, what=f"row {number + 1}: {found.what}")


def _longest(case: BatchCase) -> RowCase:
    """Return the case of the longest row: lengths count its padding, too."""
    recorded, observed = (max(side.rows, key=_length) for side in (case.recorded, case.observed))
    return _row_case(case, recorded, observed, ())


def _length(row: GenerationRecord) -> int:
    return len(row.prompt.ids)


class _Row(GenerationExplainer):
    """A row of a batch: the model also runs over the row that the recorded fingerprints are of, or over all rows."""

    def __init__(self, case: BatchCase, number: int) -> None:
        self._batch, self._number = case, number

    def teacher(self, case: RowCase, loaded: LoadedModel | None = None) -> TeacherForcedPass:
        batch, number, media = self._batch.recorded, self._number, media_of(case.observed)
        assert case.passes is not None
        if batch.fingerprinted is None or media:  # nobody knows which images belong to one row
            return teacher_forced(case.passes, batch.rows, media, loaded, batch.fingerprinted)[number]
        # The fingerprinted row comes last: it may be the one to explain.
        own = [batch.rows[number], batch.rows[batch.fingerprinted]]
        return teacher_forced(case.passes, own, media, loaded, 1)[0]


def _row_cases(case: BatchCase) -> dict[int, RowCase]:
    """Return the rows that differ."""
    return {
        number: _row_case(case, before, now, own)
        for number, before, now, own in row_differences(case.recorded, case.observed, case.comparison.differences)
        if own
    }


def _row_case(
    case: BatchCase, recorded: GenerationRecord, observed: GenerationRecord, differences: Sequence[Difference]
) -> RowCase:
    verdict = case.comparison.verdict
    if all(one.stage == "numbers" for one in differences):
        verdict = Verdict.DRIFT
    elif verdict is Verdict.CHANGED and KIND.is_near_tie(recorded, observed, differences):
        verdict = Verdict.NEAR_TIE
    comparison = replace(case.comparison, verdict=verdict, differences=tuple(differences))
    noise = 0.0 if observed.live is None else observed.live.noise
    return Case(comparison, recorded, observed, case.asked, case.passes, noise)


def _first(case: BatchCase, cases: dict[int, RowCase]) -> int:
    """Return the row to explain: one that is no near-tie; of near-ties the one whose numbers have moved most."""
    changed = [number for number, row in cases.items() if row.comparison.verdict is Verdict.CHANGED]
    if changed or case.passes is None or len(cases) == 1:
        return next(iter(changed or cases))
    passes = teacher_forced(case.passes, case.recorded.rows, media_of(case.observed.rows[0]))
    return max(cases, key=lambda number: largest(passes[number].moved(case.recorded.rows[number])))


def _media_of(case: BatchCase, number: int) -> Media | None:
    """Return the images and sounds of a row; None if it is unknown which belong to it."""
    assert case.passes is not None
    rows = case.observed.rows
    whole, ids = media_of(rows[0]), [row.prompt.ids for row in rows]
    return whole.row(number, ids, placeholder_of(case.passes.origin.loaded.model.config) if whole else None)


def _beside_its_neighbours(case: RowCase, found: Explanation, longest: int, media: Media) -> Explanation:
    """Run the prompt of a row on its own, and name the other rows as the reason if they are."""
    if found.cause not in (None, "search", "forward") or case.observed.effective.get("do_sample"):
        return found
    if found.cause is None and (found.block is not None or case.part is not None):  # it says more than is said here
        return found
    alone, floor = _alone(case, longest, media), 2 * case.floor
    moved = _moved(alone, case.observed)
    if moved <= floor:
        said = "on its own this prompt gives the same tokens and scores, so the other rows are not the reason"
        return replace(found, evidence=(*found.evidence, Evidence(said, {"drift": moved})))
    what = "different tokens" if math.isinf(moved) else "different scores"
    said = f"on its own this prompt gives {what} than in the batch"
    evidence = (Evidence(said, {"drift": moved, "noise_floor": case.floor}), *found.evidence)
    if _moved(case.recorded, alone) <= floor:
        return _by_the_neighbours(case, evidence)
    if found.cause == "forward":  # the numbers have moved in one pass, too: that comes first
        return replace(found, evidence=evidence)
    return case.because(None, f"{said}, and neither is as recorded, so the reason is unknown", evidence)


def _by_the_neighbours(case: RowCase, evidence: Sequence[Evidence]) -> Explanation:
    """Explain a row that is as recorded on its own, and not in the batch."""
    assert case.origin is not None
    changes = mutations.of_the_model(case.origin)
    if changes and not case.changed_packages():
        return case.because("test", mutations.sentence(changes), evidence)
    said = "the other rows of the batch change this one: on its own it gives the recorded output"
    moved = generating(case)
    if moved > 2 * case.floor:
        return case.because("forward", f"{said}; padding or a neighbour moves its scores by {moved:.2g}", evidence)
    before, here = rules_of(case.recorded), rules_of(case.observed)
    rules = ("rows_stop_together",) if before.rows_stop_together != here.rows_stop_together else ()
    return case.because("search", f"{said}; its scores are as recorded", evidence, rules=rules)


def _alone(case: RowCase, longest: int, media: Media) -> GenerationRecord:
    """Generate from the prompt of a row on its own, with room for as many new tokens as in the batch."""
    observed, passes = case.observed, case.passes
    assert passes is not None
    passes.spend("alone")
    least, most = (int(observed.effective[name]) - longest for name in ("min_length", "max_length"))
    lengths = {"max_new_tokens": most, **({"min_new_tokens": least} if least > 0 else {"min_length": 0})}
    return observe_generation(
        observed.checkpoint,
        passes.origin.loaded,
        passes.origin.tokenizer,
        [observed.prompt],
        {**{name: value for name, value in passes.settings.items() if name not in _LENGTHS}, **lengths},
        skip_special_tokens=bool(observed.effective["skip_special_tokens"]),
        media=media,
    )[0]


def _moved(before: GenerationRecord, now: GenerationRecord) -> float:
    """Return how far the scores of the search moved; infinity if it chose otherwise."""
    if (before.ids, [beam.ids for beam in before.beams]) != (now.ids, [beam.ids for beam in now.beams]):
        return math.inf
    return largest(scores_moved(before, now, len(before.ids)))


EXPLAINER = _Batch()
