"""Beam search: it follows the best `num_beams` hypotheses, and keeps those that end by score.

As upstream documents it: https://huggingface.co/docs/transformers/main_classes/text_generation (`num_beams`,
`early_stopping`, `length_penalty`). The length penalty divides by length^penalty, without the constants of
Wu et al. 2016 (arXiv:1609.08144, §7).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_hfmodels.foundation.errors import HFModelsError
from pytest_hfmodels.reference.processors import process
from pytest_hfmodels.reference.rules import Rules
from pytest_hfmodels.reference.search import TOLERANCE, Mismatch, Ties, as_prompts, grown, log_softmax, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_hfmodels.reference.search import FloatArray, IntArray, Logits, Settings

_MOST_OUTCOMES = 500
# Upstream gives -1e9 to missing beams; a ban that `remove_invalid_values` made finite is worse than that.
_NONE = -1e8


@dataclass(frozen=True)
class Hypothesis:
    """A continuation of one prompt.

    Args:
        ids: prompt included.
        total: the sum of the processed scores of its generated tokens.
        score: the total with the length penalty once it has ended; before, NaN.
    """

    ids: tuple[int, ...]
    total: float
    score: float = float("nan")


@dataclass(frozen=True)
class SearchStep:
    """The decisions of one step for one prompt.

    Args:
        candidates: the best continuations, best first; more than there are beams, because some may end.
        margin: between the last one that is followed and the best one that is not; inf if there is none.
    """

    candidates: tuple[Hypothesis, ...]
    margin: float


@dataclass(frozen=True)
class Beams:
    """The result of beam search for B prompts.

    Args:
        ids: (B · num_return_sequences, L), int64, the best sequence of each prompt first; padded after the end.
        scores: (B · num_return_sequences,); -inf for missing sequences.
        steps: the decisions for each prompt.
        close: how many decisions were within the tolerance of `ties`.
    """

    ids: IntArray
    scores: FloatArray
    steps: tuple[tuple[SearchStep, ...], ...]
    close: int


def beam_search(
    logits: Logits,
    ids: object,
    mask: object | None,
    settings: Settings,
    rules: Rules | None = None,
    *,
    ties: Ties | None = None,
) -> Beams:
    """Decode prompts with several beams. In an exact tie the earlier beam wins, then the smaller id.

    Args:
        logits: from ids (B, L) and mask (B, L) to the next token's logits (B, V). It gets all followed beams in one
            batch, whose size changes from step to step.
        ids: prompts, int (B, P), padded on the left.
        mask: int (B, P), 0 at padding; None if there is no padding.
        settings: those of `generate`.
        rules: those of a release; by default the newest known.
        ties: decides close decisions; for `check_beams`.

    Raises:
        HFModelsError: too few candidates go on (`Rules.too_few_beams_raise`).
    """
    rules, ties = rules or Rules(), ties or Ties()
    prompts, prompt_mask = as_prompts(ids, mask)
    searches = [_Search(tuple(prompt), settings, rules, ties) for prompt in prompts.tolist()]
    prompt_length = prompts.shape[1]
    limit = settings.limit(prompt_length, rules)
    for length in range(prompt_length, limit):
        going = [row for row, search in enumerate(searches) if search.goes_on]
        beams = np.array([beam.ids for row in going for beam in searches[row].running], np.int64)
        counts = [len(searches[row].running) for row in going]
        beam_mask = grown(np.repeat(prompt_mask[going], counts, axis=0), length)
        scores = log_softmax(logits(beams, beam_mask))
        processed = process(scores, beams, beam_mask, settings, prompt_length, rules)
        for row, part in zip(going, np.split(processed, np.cumsum(counts)[:-1]), strict=True):
            searches[row].step(part, at_limit=length + 1 == limit)
        if all(search.done or not search.running for search in searches):
            break  # with `rows_stop_together`, not before
    return _collected(searches, settings, rules, ties)


@dataclass
class _Search:
    """The search for one prompt."""

    prompt: tuple[int, ...]
    settings: Settings
    rules: Rules
    ties: Ties
    running: list[Hypothesis] = field(init=False)
    ended: list[Hypothesis] = field(default_factory=list)
    steps: list[SearchStep] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self.running = [Hypothesis(self.prompt, 0.0)]

    @property
    def goes_on(self) -> bool:
        """Whether this prompt has another step, if any prompt has one."""
        return bool(self.running) and (self.rules.rows_stop_together or not self.done)

    def step(self, scores: FloatArray, *, at_limit: bool) -> None:
        """Continue every running hypothesis by one token.

        Args:
            scores: processed log-probabilities of the next token of each hypothesis, (beams, V).
            at_limit: whether this is the last step.
        """
        beams, eos = self.settings.num_beams, self.settings.eos
        candidates = self._candidates(scores)
        ending = [candidate.ids[-1] in eos for candidate in candidates]
        self._keep(self._finished(candidates, ending, at_limit=at_limit))
        going_on = [candidate for candidate, ends in zip(candidates, ending, strict=True) if not ends]
        self.running = going_on[:beams]
        if self.rules.too_few_beams_raise and len(going_on) < beams and len(candidates) == 2 * beams:
            raise HFModelsError(
                f"Only {len(going_on)} of {len(candidates)} candidates go on, which is too few for {beams} beams.",
                hint="Releases before 4.32 raise here too: give them fewer eos tokens.",
            )
        self.steps.append(SearchStep(tuple(candidates), _margin(going_on, beams)))
        best = candidates if self.rules.ended_beams_first else self.running
        if best:
            self._settle(best[0])
        if at_limit and self._ends_by_itself and (self.rules.ended_beams_first or not self.ended):
            self._keep(self.running)

    def _finished(self, candidates: list[Hypothesis], ending: list[bool], *, at_limit: bool) -> list[Hypothesis]:
        """Return the hypotheses that end. Only the best may end; the others are there so that enough beams go on."""
        beams, cut = self.settings.num_beams, at_limit and not self._ends_by_itself
        pairs = zip(candidates[:beams], ending[:beams], strict=True)
        return [candidate for candidate, ends in pairs if ends or cut]

    @property
    def _ends_by_itself(self) -> bool:
        return self.rules.ended_beams_first or self.rules.only_ended_beams

    def _candidates(self, scores: FloatArray) -> list[Hypothesis]:
        """Return the best continuations; those of probability 0 do not count."""
        totals = (np.array([[beam.total] for beam in self.running]) + scores).ravel()
        possible = np.flatnonzero(totals > -np.inf)

        def ids(index: int) -> tuple[int, ...]:
            beam, token = divmod(int(possible[index]), scores.shape[1])
            return (*self.running[beam].ids, token)

        each = 2 if self.rules.spare_beams_for_one_eos else max(2, 1 + len(self.settings.eos))
        best = self.ties.best(totals[possible], each * self.settings.num_beams, ids)
        return [Hypothesis(ids(index), float(totals[possible[index]])) for index in best]

    def _keep(self, finished: Sequence[Hypothesis]) -> None:
        """Add finished hypotheses unless the search is over, and keep the best."""
        beams = self.settings.num_beams
        full = self.settings.early_stopping is True and len(self.ended) == beams
        if full or (self.done and not self.rules.rows_stop_together):
            return
        scored = [Hypothesis(one.ids, one.total, self._score(one)) for one in finished]
        every = [*self.ended, *scored]
        best = self.ties.best(np.array([one.score for one in every]), beams, lambda index: every[index].ids)
        self.ended = [every[index] for index in best]

    def _settle(self, best: Hypothesis) -> None:
        """Return whether the search is over: no continuation of `best` can replace the worst finished hypothesis."""
        stopping, penalty = self.settings.early_stopping, self.settings.length_penalty
        if self.done and not self.rules.rows_stop_together:
            return
        self.done = False
        if len(self.ended) < self.settings.num_beams:
            return
        length = len(best.ids)
        if stopping == "never" and penalty > 0:
            length = self.settings.limit(len(self.prompt), self.rules)
        attainable = best.total / self._counted(length) ** penalty
        self.done = stopping is True or self.ties.at_least(self.ended[-1].score, attainable)

    def _score(self, ended: Hypothesis) -> float:
        length = self._counted(len(ended.ids))
        if self.rules.length_penalty_counts_prompt and ended.ids[-1] in self.settings.eos:
            length -= 1
        return float(ended.total / length**self.settings.length_penalty)

    def _counted(self, length: int) -> int:
        return length if self.rules.length_penalty_counts_prompt else length - len(self.prompt)


def _collected(searches: Sequence[_Search], settings: Settings, rules: Rules, ties: Ties) -> Beams:
    """Return the best hypotheses of every prompt, padded to one length."""
    count = settings.num_return_sequences
    nothing = Hypothesis(searches[0].prompt, -np.inf, -np.inf)
    best = [one for search in searches for one in [*search.ended, *[nothing] * count][:count]]
    width = max(len(one.ids) for one in best)
    if rules.padded_to_the_last_step:
        width = len(searches[0].prompt) + max(len(search.steps) for search in searches)
    ids = np.full((len(best), width), _padding(settings, rules), np.int64)
    for row, one in enumerate(best):
        ids[row, : len(one.ids)] = one.ids
        if rules.first_eos_stands_for_all and one.score > -np.inf and one.ids[-1] in settings.eos:
            ids[row, len(one.ids) - 1] = settings.eos[0]
    scores = np.array([one.score for one in best])
    return Beams(ids, scores, tuple(tuple(search.steps) for search in searches), ties.close)


def _margin(going_on: Sequence[Hypothesis], beams: int) -> float:
    return going_on[beams - 1].total - going_on[beams].total if len(going_on) > beams else float("inf")


def check_beams(
    logits: Logits,
    ids: object,
    mask: object | None,
    settings: Settings,
    returned: object,
    scores: object | None = None,
    rules: Rules | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Mismatch | None:
    """Return the first thing wrong with what the library returned, or None.

    Decisions closer than the tolerance may go either way; one way must give exactly these sequences. Those towards the
    returned sequences are tried first. If there are fewer sequences than asked for, anything may be returned for the
    missing ones.

    Args:
        logits: see `beam_search`, also for the next arguments.
        ids: the prompts.
        mask: their mask.
        settings: those that the library got.
        returned: the returned ids, prompts included, (B · num_return_sequences, L).
        scores: the returned scores, (B · num_return_sequences,), which must be within the tolerance.
        rules: those of its release.
        tolerance: of two totals or scores closer than this, either may win.
    """
    rules = rules or Rules()
    prompts, prompt_mask = as_prompts(ids, mask)
    sequences: IntArray = np.asarray(returned, np.int64)
    each = settings.num_return_sequences
    if len(sequences) != len(prompts) * each:
        return Mismatch((), (), f"{len(sequences)} sequences for {len(prompts)} prompts and {each} for each")
    found = np.full(len(sequences), np.nan) if scores is None else np.asarray(scores, np.float64)
    width = 0
    lacking = False
    for rows in _separate(len(prompts), rules):
        mine = slice(rows.start * each, rows.stop * each)
        returned_here = _Returned(sequences[mine], found[mine], _padding(settings, rules), tolerance)

        def search(ties: Ties, rows: slice = rows) -> Beams:
            return beam_search(logits, prompts[rows], prompt_mask[rows], settings, rules, ties=ties)

        tried = list(_until(returned_here.agree, outcomes(search, tolerance, returned_here.rank, _MOST_OUTCOMES)))
        if (index := returned_here.disagree(tried[-1])) is not None:
            first = returned_here.disagree(tried[0])
            index = index if first is None else first
            prompt = rows.start + index // each
            generated = sequences[prompt * each : (prompt + 1) * each, prompts.shape[1] :]
            what = returned_here.difference(tried[0], index, each, prompts.shape[1], len(tried))
            return Mismatch(tuple(prompts[prompt].tolist()), tuple(map(tuple, generated.tolist())), what)
        width = max(width, tried[-1].ids.shape[1])
        lacking |= bool((tried[-1].scores <= _NONE).any())
    if not lacking and width < sequences.shape[1]:
        return Mismatch((), (), f"the sequences are {sequences.shape[1]} tokens wide, and the longest has {width}")
    return None


@dataclass(frozen=True)
class _Returned:
    """What the library returned for some prompts, to compare with one outcome of the search."""

    ids: IntArray
    scores: FloatArray
    padding: int
    tolerance: float

    def rank(self, ids: tuple[int, ...]) -> int:
        """Return the index of the first sequence that begins with these ids; a large number if there is none."""
        starts = (self.ids[:, : len(ids)] == ids).all(axis=1) if len(ids) <= self.ids.shape[1] else np.array([False])
        return int(starts.argmax()) if starts.any() else len(self.ids)

    def agree(self, outcome: Beams) -> bool:
        return self.disagree(outcome) is None

    def disagree(self, outcome: Beams) -> int | None:
        """Return the first sequence that is not the outcome's; any sequence will do for a missing one."""
        if outcome.ids.shape[1] > self.ids.shape[1]:
            return 0
        missing = self.ids.shape[1] - outcome.ids.shape[1]
        ids = np.pad(outcome.ids, ((0, 0), (0, missing)), constant_values=self.padding)
        wrong = (ids != self.ids).any(axis=1) | (self._distances(outcome) > self.tolerance)
        wrong &= outcome.scores > _NONE
        return int(wrong.argmax()) if wrong.any() else None

    def difference(self, outcome: Beams, index: int, each: int, prompt_length: int, tried: int) -> str:
        """Return how a sequence differs from the outcome's."""
        place = f"sequence {index % each + 1} should be " if each > 1 else "it should be "
        expected, score = outcome.ids[index, prompt_length:].tolist(), float(outcome.scores[index])
        margin = min((step.margin for step in outcome.steps[index // each]), default=float("inf"))
        given = "" if np.isnan(self.scores[index]) else f", not {self.scores[index]:.6g}"
        return (
            f"{place}{expected} with a score of {score:.6g}{given} (the closest choice of beams had a margin of "
            f"{margin:.3g}; {tried} ways to decide {outcome.close} close decisions give something else)"
        )

    def _distances(self, outcome: Beams) -> FloatArray:
        """Return how far the scores differ, as `Ties` measures it; 0 if none were returned."""
        with np.errstate(invalid="ignore"):
            size = np.maximum(1, np.abs(outcome.scores))
            distances: FloatArray = np.nan_to_num(np.abs(self.scores - outcome.scores) / size, nan=0.0)
        return distances


def _until(agree: Callable[[Beams], bool], tried: Iterable[Beams]) -> Iterator[Beams]:
    """Yield outcomes up to the first that agrees, included."""
    for outcome in tried:
        yield outcome
        if agree(outcome):
            return


def _separate(count: int, rules: Rules) -> Iterator[slice]:
    """Yield the groups of rows that are searched independently."""
    if rules.rows_stop_together:
        yield slice(0, count)
    else:
        yield from (slice(row, row + 1) for row in range(count))


def _padding(settings: Settings, rules: Rules) -> int:
    return settings.eos[0] if rules.pad_zero_is_eos and settings.pad == 0 and settings.eos else settings.pad
