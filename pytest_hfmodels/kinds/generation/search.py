"""Whether what chooses tokens has changed: the reference decoder on the installed library's own scores."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from packaging.version import Version

from pytest_hfmodels.explain.budget import OutOfPassesError
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.reference import TOLERANCE, Rules, Settings, beam_search, check_greedy, process
from pytest_hfmodels.reference.search import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from pytest_hfmodels.engines.capture import StepScores
    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds import GenerationRecord
    from pytest_hfmodels.kinds.generation.teacher import TeacherForcedPass
    from pytest_hfmodels.reference import Beams
    from pytest_hfmodels.reference.search import IntArray, Ties

_TRIES = 3  # ways for close decisions to fall: each is a whole search
_PAD = -1  # the reference pads with what the records leave out
# With these, beam search follows its beams up to the length limit, whichever of them have ended: no rule and no
# setting that the records were made with asks for scores that were not heard.
_TO_THE_END: Mapping[str, Any] = {"early_stopping": "never", "length_penalty": 10.0}
# What changes nothing of what is chosen.
_HARMLESS = frozenset({"skip_special_tokens", "do_sample", "use_cache", "top_k", "top_p", "temperature"})

# What a rule of `Rules` means, where it holds.
RULES: Mapping[str, str] = {
    "default_length_counts_prompt": "without a length, 20 tokens are the whole and not what is added (before 4.47)",
    "both_minima_hold": "min_length counts beside min_new_tokens (before 4.40)",
    "length_penalty_counts_prompt": "the length penalty counts the prompt (before 4.36)",
    "ended_beams_first": "at the length limit, ended beams come before better ones that have not ended (before 4.50)",
    "only_ended_beams": "at the length limit, beams that have not ended count only where none has (TensorFlow)",
    "first_eos_stands_for_all": "whichever eos ended a beam, the first one is returned (before 4.50)",
    "pad_zero_is_eos": "beams are padded with eos where the padding id is 0 (from 4.50 on)",
    "rows_stop_together": "a batch's prompts stop only together (4.50 to 4.53)",
    "padded_to_the_last_step": "beams are as wide as the search was long (4.50.0 to 4.50.2)",
    "spare_beams_for_one_eos": "a step looks at two candidates a beam, however many eos there are (before 4.32)",
    "too_few_beams_raise": "a step that too few of its candidates survive raises (before 4.32)",
    "decay_multiplies": "the decaying length penalty multiplies the score of eos (before 4.34)",
    "decay_frees_the_banned": "the decaying length penalty makes a banned eos NaN (4.34 to 5.18)",
    "minus_infinity_stays": "remove_invalid_values leaves -inf as it is (before 4.36)",
    "sequences_need_their_length": "a bias or bad word of n tokens waits until n tokens are there (4.31 to 5.17)",
    "eos_is_a_bad_word": "a bad word that is an eos alone is banned like any other (TensorFlow)",
    "repetition_counts_padding": "padding counts as a word for repetition_penalty (before 5.23)",
    "minima_take_one_eos": "min_length beside several eos is refused (TensorFlow)",
    "lacking": "there are settings that do nothing yet (sequence_bias before 4.31)",
    "sdpa_ignores_scaling": "sdpa ignores scale_attn_weights and scale_attn_by_inverse_layer_idx (4.42 to 5.3)",
    "spaces_cleaned_up": "decoding cleans up spaces by default (through 4.45.0)",
    "bpe_keeps_spaces": "cleaning up spaces does nothing for byte-level BPE (from 5.7 on)",
    "pooling": "which word a classifier reads",
}


@dataclass(frozen=True)
class Found:
    """What holding the reference against both sides said.

    Args:
        cause: `search`, `forward` if the scores of `generate` differ from those without a cache, or None.
        sentence: in words.
        evidence: what it rests on.
        tie: whether the same search can give either, by decisions too close to call.
        alike: whether both sides chose the same, as the search should.
        rules: see `Explanation`.
    """

    cause: str | None
    sentence: str
    evidence: tuple[Evidence, ...]
    tie: bool = False
    alike: bool = False
    rules: tuple[str, ...] = ()


class _NotHeardError(Exception):
    """The reference follows a continuation that the library did not."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        super().__init__()
        self.ids = ids


def look(
    recorded: GenerationRecord,
    observed: GenerationRecord,
    passes: Passes,
    teacher: TeacherForcedPass,
    floor: float,
    generating: float,
) -> Found:
    """Hold the reference against what was recorded and against what the library has returned.

    Args:
        recorded: from the snapshot.
        observed: from the library.
        passes: the model; one `generate` of it is asked for.
        teacher: what it says of the recorded tokens, without a cache.
        floor: the noise floor.
        generating: how far the scores that the library chose from have moved, see `forward_pass.scores_moved`.
    """
    if observed.live is None or observed.live.processors is None:
        return Found(None, "the search cannot be checked: this model does not tell which logits processors are on", ())
    settings, unstated = reference_settings(run_settings(observed))
    if unstated:
        return Found(
            None, f"the reference does not state {', '.join(unstated)}, so that the search cannot be checked", ()
        )
    beams = bool(observed.beams)
    heard: StepScores = {} if beams else _of_the_test(observed, settings, floor)
    heard = heard or passes.generate(observed.prompt.ids, **(_TO_THE_END if beams else {}))
    if not heard:
        return Found(None, "this model's generate cannot be listened to, so that the search cannot be checked", ())
    apart = _while_generating(heard, recorded, teacher)
    alike = apart <= 2 * floor
    if not alike and generating > 2 * floor:
        return _cache(apart, floor)
    if alike:  # else this model has always been another with its cache, as Transformer-XL is in a beam search
        for position, known in enumerate(teacher.logits):  # where the library went another way, the recorded one
            ids = (*recorded.prompt.ids, *recorded.ids[:position])
            heard.setdefault(ids, log_softmax(known) if beams else known)
    return _judged(_Case(recorded, observed, settings, _Scores(heard, passes if alike else None, beams), floor))


def run_settings(observed: GenerationRecord) -> dict[str, Any]:
    """Return the settings of a run, with those of logits processors that the test did not turn on itself."""
    own = None if observed.live is None else observed.live.processors
    return {**observed.effective, **(own or {})}


def unrecorded_settings(observed: GenerationRecord) -> list[str]:
    """Return the logits processors that were on although the test did not ask for them: no snapshot keeps those."""
    own = None if observed.live is None else observed.live.processors
    return [name for name in own or () if name not in observed.effective]


def reference_settings(effective: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return the resolved settings as the reference takes them, and the names of those that it does not state."""
    known = {field.name for field in fields(Settings)}
    given = {name: value for name, value in effective.items() if name in known and value is not None}
    if given.get("sequence_bias"):
        given["sequence_bias"] = {tuple(ids): value for ids, value in given["sequence_bias"]}
    if given.get("exponential_decay_length_penalty"):
        given["exponential_decay_length_penalty"] = tuple(given["exponential_decay_length_penalty"])
    unstated = [name for name, value in effective.items() if name not in known | _HARMLESS and value]
    return Settings(**{**given, "pad_token_id": _PAD}), unstated


@dataclass(frozen=True)
class _Case:
    """Both sides, and the scores to hold them against."""

    recorded: GenerationRecord
    observed: GenerationRecord
    settings: Settings
    scores: _Scores
    floor: float
    known: dict[Rules, Beams | _NotHeardError] = field(default_factory=dict)

    def objection(self, record: GenerationRecord, rules: Rules, *, close: bool = True) -> str | None:
        """Return what the reference says against a record's output, on the scores that were heard; None for nothing.

        Args:
            record: one of the two.
            rules: of a release.
            close: let decisions that are too close to call fall towards the record.
        """
        prompt = np.asarray([record.prompt.ids], np.int64)
        tolerance = max(TOLERANCE, 2 * self.floor)
        if not record.beams:
            returned = [[*record.prompt.ids, *record.ids]]
            found = check_greedy(self.scores, prompt, None, self.settings, returned, rules=rules, tolerance=tolerance)
            return None if found is None else found.what

        said = self._plainly(record, rules, prompt, tolerance)
        if said is None or not close:
            return said

        def search(ties: Ties) -> Beams:
            return beam_search(self.scores, prompt, None, self.settings, rules, ties=ties)

        try:
            tried = outcomes(search, tolerance, partial(_rank, record), _TRIES)
            return None if any(_unlike(record, outcome, tolerance) is None for outcome in tried) else said
        except _NotHeardError:
            return said

    def _plainly(self, record: GenerationRecord, rules: Rules, prompt: IntArray, tolerance: float) -> str | None:
        """Return the objection where no decision is called too close."""
        if rules not in self.known:
            try:
                self.known[rules] = beam_search(self.scores, prompt, None, self.settings, rules)
            except _NotHeardError as missing:
                self.known[rules] = missing
        found = self.known[rules]
        if isinstance(found, _NotHeardError):
            return f"it follows the beam {list(found.ids[prompt.shape[1] :])!s:.80}, and the library did not"
        return _unlike(record, found, tolerance)


def _rank(record: GenerationRecord, ids: tuple[int, ...]) -> int:
    """Return the first returned beam that goes on from these ids; close decisions fall towards it."""
    beams = [(*record.prompt.ids, *beam.ids) for beam in record.beams]
    return next((number for number, beam in enumerate(beams) if beam[: len(ids)] == ids), len(beams))


def _unlike(record: GenerationRecord, outcome: Beams, tolerance: float) -> str | None:
    """Return how the returned beams differ from what the reference returns, or None."""
    start = len(record.prompt.ids)
    for number, (beam, ids, score) in enumerate(zip(record.beams, outcome.ids.tolist(), outcome.scores, strict=False)):
        expected = tuple(token for token in ids[start:] if token != _PAD)
        if not np.isfinite(score):
            continue  # there are not as many beams: anything may stand in for one
        if expected != beam.ids:
            place = next(
                (place for place, pair in enumerate(zip(expected, beam.ids, strict=False)) if pair[0] != pair[1]),
                min(len(expected), len(beam.ids)),
            )
            wanted = expected[place] if place < len(expected) else "the end"
            return (
                f"beam {number + 1} has {wanted} at token {place + 1}, and a score of {score:.6g}, not {beam.score:.6g}"
            )
        if abs(score - beam.score) > tolerance * max(1.0, abs(score)):
            return f"beam {number + 1} has a score of {score:.6g}, not {beam.score:.6g}"
    return None


class _Scores:
    """The scores that the library chose from; what it did not look at is asked of the model, a few times."""

    def __init__(self, heard: StepScores, passes: Passes | None, beams: bool) -> None:
        self._heard, self._passes, self._beams = heard, passes, beams

    def __call__(self, ids: IntArray, mask: IntArray) -> NDArray[Any]:
        del mask  # one prompt, nothing padded
        rows = [tuple(row) for row in ids.tolist()]
        missing = sorted({row for row in rows if row not in self._heard})
        if missing and self._passes is None:
            raise _NotHeardError(missing[0])
        if missing and self._passes is not None:
            try:
                logits = self._passes.forward(missing).logits[:, -1]
            except OutOfPassesError:
                raise _NotHeardError(missing[0]) from None
            self._heard.update(zip(missing, log_softmax(logits) if self._beams else logits, strict=True))
        return np.stack([self._heard[row] for row in rows])


def _judged(case: _Case) -> Found:
    """Say whose output the reference gives: the rules of the installed release, or of the one that recorded."""
    then, now = _release(case.recorded), _release(case.observed)
    before, here = _bearing(Rules.of(then), case.settings), _bearing(Rules.of(now), case.settings)
    of_observed = case.objection(case.observed, here)
    if of_observed is not None:
        return _not_by_the_rules(case, now, of_observed, case.objection(case.recorded, here))
    by_another_rule = before != here and case.objection(case.recorded, here, close=False) is not None
    if by_another_rule and case.objection(case.recorded, before, close=False) is None:
        return _another_rule(case, then, now, before, here)
    of_recorded = case.objection(case.recorded, here)
    if of_recorded is None and _decided_alike(case):
        said = "the search gives these tokens on both sides: what moved is no decision of its"
        return Found(None, said, (), alike=True)
    if of_recorded is None:
        told = f"the reference gives both outputs on today's scores, by decisions closer than {2 * case.floor:.2g}"
        return Found(
            None, "the same search can give either: a decision is too close to call", (Evidence(told),), tie=True
        )
    if before != here and case.objection(case.recorded, before) is None:
        return _another_rule(case, then, now, before, here)
    return Found(
        None,
        "the search does what it should with today's scores, and the recorded output is none of it",
        (Evidence(f"against the recorded output: {of_recorded:.200}"),),
    )


def _decided_alike(case: _Case) -> bool:
    sides = ((record.ids, *(beam.ids for beam in record.beams)) for record in (case.recorded, case.observed))
    return len(set(sides)) == 1


def _another_rule(case: _Case, then: str, now: str, before: Rules, here: Rules) -> Found:
    rules = _deciding(case, before, here)
    without = "not yet" if Version(then) < Version(now) else "no longer"
    told = "; ".join(_told(rule, before, then, without) for rule in rules)
    return Found(
        "search",
        f"the search of {now} goes by another rule: {told}",
        (
            Evidence(f"on today's scores the reference gives the recorded output by the rules of {then}"),
            Evidence(f"by the rules of {now} it gives today's"),
        ),
        rules=tuple(rules),
    )


def _bearing(rules: Rules, settings: Settings) -> Rules:
    """Return the rules, with those reset that cannot matter for one unpadded prompt and these settings."""
    idle = ["default_length_counts_prompt", "both_minima_hold", "pad_zero_is_eos", "pooling"]
    idle += ["repetition_counts_padding", "padded_to_the_last_step", "too_few_beams_raise"]
    idle += ["sdpa_ignores_scaling", "spaces_cleaned_up", "bpe_keeps_spaces"]
    if not settings.sequence_bias:
        idle += ["lacking"]
    if len(settings.eos) < 2:
        idle += ["first_eos_stands_for_all", "spare_beams_for_one_eos"]
    if settings.exponential_decay_length_penalty is None:
        idle += ["decay_multiplies", "decay_frees_the_banned"]
    if not settings.remove_invalid_values:
        idle += ["minus_infinity_stays"]
    if not settings.sequence_bias and not settings.bad_words_ids:
        idle += ["sequences_need_their_length"]
    return replace(rules, **{name: getattr(Rules(), name) for name in idle})


def _not_by_the_rules(case: _Case, now: str, of_observed: str, of_recorded: str | None) -> Found:
    engine = case.observed.provenance.engine
    if engine != "torch" and case.recorded.provenance.engine == "torch":
        return Found(
            "search",
            f"{engine}'s search is not torch's, which recorded the output",
            (Evidence(f"on {engine}'s scores the reference says: {of_observed:.200}"),),
        )
    what = "gives the recorded output" if of_recorded is None else "gives another"
    return Found(
        "search",
        f"the library chooses otherwise than by the rules of {now}: the reference, on the same scores, {what}",
        (Evidence(f"against today's output: {of_observed:.200}"),),
    )


def _deciding(case: _Case, before: Rules, here: Rules) -> list[str]:
    """Return the rules without which the recorded output would be another."""
    differ = [field.name for field in fields(Rules) if getattr(before, field.name) != getattr(here, field.name)]
    needed = [
        name
        for name in differ
        if case.objection(case.recorded, replace(before, **{name: getattr(here, name)}), close=False) is not None
    ]
    return needed or differ


def _told(rule: str, before: Rules, then: str, without: str) -> str:
    holds = getattr(before, rule)
    words = RULES.get(rule, rule)
    return f"in {then} {words}" if holds is not False else f"in {then} {without}: {words}"


def _of_the_test(observed: GenerationRecord, settings: Settings, floor: float) -> StepScores:
    """Return what a greedy search chose from as far as the test itself has seen it, to spare another `generate`.

    That is every step's logits without a cache; and the scores of the search, which the reference makes of those where
    neither the cache nor a logits processor does anything else. Nothing where it does not: that has to be heard.
    """
    live = observed.live
    if live is None or not len(live.logits):
        return {}
    heard: StepScores = {}
    prompt, rules = observed.prompt.ids, Rules.of(_release(observed))
    for position, (logits, scores) in enumerate(zip(live.logits, live.scores, strict=True)):
        ids = np.asarray([[*prompt, *observed.ids[:position]]], np.int64)
        made = process(logits[None], ids, np.ones_like(ids), settings, len(prompt), rules)[0]
        if not np.allclose(log_softmax(made), log_softmax(scores), rtol=0, atol=2 * floor):
            return {}
        heard[tuple(ids[0].tolist())] = logits
    return heard


def _while_generating(heard: StepScores, recorded: GenerationRecord, teacher: TeacherForcedPass) -> float:
    """Return how far the scores while generating are from those of one pass without a cache, over what both have."""
    moved = 0.0
    table = log_softmax(teacher.logits)
    for position in range(len(recorded.ids)):
        own = heard.get((*recorded.prompt.ids, *recorded.ids[:position]))
        if own is None:
            break
        best = np.argsort(table[position])[-20:]  # of the likely tokens: the others carry larger sums
        apart = np.abs(log_softmax(own)[best] - table[position][best])
        moved = max(moved, float(np.nan_to_num(apart, nan=np.inf).max()))
    return moved


def _cache(moved: float, floor: float) -> Found:
    return Found(
        "forward",
        "while it generates, with its cache, the model says something else than in one pass without",
        (
            Evidence(
                f"with the cache log-probabilities are up to {moved:.2g} from those without (noise floor {floor:.2g}), "
                "and those without are as recorded",
                {"drift": moved, "noise_floor": floor},
            ),
        ),
    )


def processed_otherwise(
    recorded: GenerationRecord,
    observed: GenerationRecord,
    passes: Passes,
    teacher: TeacherForcedPass,
    floor: float,
    generating: float,
) -> Found:
    """Explain processed scores that moved where the model's own did not: the cache, or the logits processors."""
    found = look(recorded, observed, passes, teacher, floor, generating)
    if found.cause is not None:
        return found
    settings, unstated = reference_settings(run_settings(observed))
    if unstated or observed.live is None or observed.live.processors is None:
        return found
    for release in (_release(observed), _release(recorded)):
        apart = max(_processing(recorded, teacher, settings, Rules.of(release)), default=0.0)
        if apart <= 2 * floor:
            return Found(
                "search",
                f"the logits processors do otherwise than recorded; the reference, by the rules of {release}, gives "
                "the recorded scores",
                (Evidence(f"from the recorded processed scores it is at most {apart:.2g} away", {"drift": apart}),),
            )
    if not found.alike:
        return found
    return replace(
        found, sentence="the scores that the search chose from moved, and no release's logits processors account for it"
    )


def _processing(
    recorded: GenerationRecord, teacher: TeacherForcedPass, settings: Settings, rules: Rules
) -> Iterator[float]:
    """Yield how far each recorded token's processed score is from what the reference makes of today's numbers."""
    prompt = recorded.prompt.ids
    base: Callable[[Any], Any] = log_softmax if recorded.beams else np.asarray
    for position, step in enumerate(recorded.steps):
        ids = np.asarray([[*prompt, *recorded.ids[:position]]], np.int64)
        scores = process(
            base(teacher.logits[position : position + 1]), ids, np.ones_like(ids), settings, len(prompt), rules
        )
        yield float(abs(log_softmax(scores)[0, step.id] - step.processed))


def _release(record: GenerationRecord) -> str:
    return record.provenance.versions.get("transformers", "5.23")
