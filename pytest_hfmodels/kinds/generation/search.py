"""Whether what chooses tokens has changed: the reference decoder on the installed library's own scores."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from packaging.version import Version

from pytest_hfmodels.explain.case import OutOfPassesError, release_of, rules_of
from pytest_hfmodels.kinds.comparison import first_divergence
from pytest_hfmodels.kinds.evidence import log_softmax
from pytest_hfmodels.kinds.explanation import Evidence
from pytest_hfmodels.kinds.generation.teacher import inputs, media_of
from pytest_hfmodels.kinds.tolerance import noise_floor
from pytest_hfmodels.reference import TOLERANCE, Rules, Settings, beam_search, check_greedy, process
from pytest_hfmodels.reference.search import outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pytest_hfmodels.engines.capture import StepScores
    from pytest_hfmodels.explain.case import Case, Passes
    from pytest_hfmodels.kinds import GenerationRecord
    from pytest_hfmodels.kinds.generation.teacher import TeacherForcedPass
    from pytest_hfmodels.reference import Beams
    from pytest_hfmodels.reference.search import IntArray, Ties

_TRIES = 3  # ways for close decisions to fall: each is a whole search
_PAD = -1  # the reference pads with what the records leave out
# With these, beam search follows its beams up to the length limit, whichever of them have ended: no rule and no
# setting of the records asks for scores that were not captured.
_TO_THE_END: Mapping[str, Any] = {"early_stopping": "never", "length_penalty": 10.0}
# Settings that do not change which tokens are chosen.
_HARMLESS = frozenset(
    {"skip_special_tokens", "add_special_tokens", "do_sample", "use_cache", "top_k", "top_p", "temperature"}
    | {"assistant_model", "prompt_lookup_num_tokens", "num_assistant_tokens", "streamer"}
)

# The rules of `Rules` that can matter for one unpadded prompt: what each means if it holds, and settings of which it
# needs one (`eos`: several ids).
_DECAY = ("exponential_decay_length_penalty",)
RULES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "length_penalty_counts_prompt": ("the length penalty counts the prompt (before 4.36)", ()),
    "ended_beams_first": ("at the length limit, a finished beam beats a better unfinished one (before 4.50)", ()),
    "only_ended_beams": ("at the length limit, unfinished beams count only if none has finished (TensorFlow)", ()),
    "first_eos_stands_for_all": (
        "a beam is returned with the first eos, whichever eos ended it (before 4.50)",
        ("eos",),
    ),
    "rows_stop_together": ("all prompts of a batch stop together (4.50 to 4.53)", ()),
    "spare_beams_for_one_eos": ("a step has two candidates per beam for any number of eos (before 4.32)", ("eos",)),
    "decay_multiplies": ("the decaying length penalty multiplies the score of eos (before 4.34)", _DECAY),
    "decay_frees_the_banned": ("the decaying length penalty makes a banned eos NaN (4.34 to 5.18)", _DECAY),
    "minus_infinity_stays": ("remove_invalid_values leaves -inf as it is (before 4.36)", ("remove_invalid_values",)),
    "sequences_need_their_length": (
        "a bias or bad word of n tokens has no effect before n tokens are there (4.31 to 5.17)",
        ("sequence_bias", "bad_words_ids"),
    ),
    "eos_is_a_bad_word": ("a bad word that is only an eos is banned like any other (TensorFlow)", ()),
    "minima_take_one_eos": ("min_length with several eos is refused (TensorFlow)", ()),
    "lacking": ("some settings do nothing yet (sequence_bias before 4.31)", ("sequence_bias",)),
}


@dataclass(frozen=True)
class SearchFinding:
    """What the reference says about both outputs.

    Args:
        cause: `search`, `forward` if the scores of `generate` differ from those without a cache, or None.
        sentence: in words.
        evidence: the figures behind it.
        tie: whether the same search can give either, by decisions too close to call.
        alike: whether both sides chose the same, as the search should.
        rules: see `Explanation`.
    """

    cause: str | None
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    tie: bool = False
    alike: bool = False
    rules: tuple[str, ...] = ()


class _NotCapturedError(Exception):
    """The reference follows a continuation that the library did not."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        super().__init__()
        self.ids = ids


def check_search(case: Case[GenerationRecord], teacher: TeacherForcedPass, generating: float) -> SearchFinding:
    """Decode today's scores with the reference, and compare with what was recorded and what the library returned.

    `teacher` is what the model says of the recorded tokens without a cache; `generating` is how far the scores that the
    library chose from have moved. The model generates once more if need be.
    """
    recorded, observed, passes = case.recorded, case.observed, case.passes
    assert passes is not None
    floor = max(case.floor, noise_floor(case.now.dtype, same_engine=True))  # of two runs today
    if observed.effective.get("do_sample"):
        return SearchFinding(None, "the model's numbers are as recorded, so the tokens were drawn differently")
    if observed.live is None or observed.live.processors is None:
        said = "the search cannot be checked: this model does not show which logits processors are on"
        return SearchFinding(None, said)
    settings, unstated = reference_settings({**observed.effective, **observed.live.processors})
    if unstated:
        said = f"the reference does not cover {', '.join(unstated)}, so the search cannot be checked"
        return SearchFinding(None, said)
    captured = _captured(observed, passes, settings, floor)
    if not captured:
        said = "the scores of this model's generate cannot be captured, so the search cannot be checked"
        return SearchFinding(None, said)
    moved = _while_generating(captured, recorded, teacher)
    alike = moved <= 2 * floor
    if not alike and generating > 2 * floor:
        return _cache(moved, floor)
    beams = bool(observed.beams)
    if alike:  # else this model has always been another with its cache, as Transformer-XL is in a beam search
        for position, known in enumerate(teacher.logits):  # where the library went another way, the recorded one
            ids = (*recorded.prefix, *recorded.ids[:position])
            captured.setdefault(ids, log_softmax(known) if beams else known.astype(np.float64))
    scores = _Scores(captured, passes if alike else None, observed)
    found = _judged(_Sides(recorded, observed, settings, scores, floor))
    if found.cause is None and generating > 2 * floor:
        return _processors(case, teacher, settings, floor, found)
    return found


def _captured(observed: GenerationRecord, passes: Passes, settings: Settings, floor: float) -> StepScores:
    """Return what every step of the library's search chose from: as the test has seen it, or of one more `generate`."""
    prompt = observed.prompt.ids
    media = media_of(observed).of([len(prompt)])
    if observed.beams:
        return passes.generate(prompt, media, **_TO_THE_END)
    return _of_the_test(observed, settings, floor) or passes.generate(prompt, media)


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
class _Sides:
    """Both records, and the scores to decode."""

    recorded: GenerationRecord
    observed: GenerationRecord
    settings: Settings
    scores: _Scores
    floor: float
    known: dict[Rules, Beams | _NotCapturedError] = field(default_factory=dict)

    def objection(self, record: GenerationRecord, rules: Rules, *, close: bool = True) -> str | None:
        """Return what the reference says against a record's output by some rules; None if it gives the same.

        `close` lets decisions that are too close to call fall towards the record.
        """
        prompt = np.asarray([record.prefix], np.int64)
        tolerance = max(TOLERANCE, 2 * self.floor)
        if not record.beams:
            returned = [[*record.prefix, *record.ids]]
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
        except _NotCapturedError:
            return said

    def _plainly(self, record: GenerationRecord, rules: Rules, prompt: IntArray, tolerance: float) -> str | None:
        """Return the objection if no decision is called too close."""
        if rules not in self.known:
            try:
                self.known[rules] = beam_search(self.scores, prompt, None, self.settings, rules)
            except _NotCapturedError as missing:
                self.known[rules] = missing
        found = self.known[rules]
        if isinstance(found, _NotCapturedError):
            return f"it follows the beam {list(found.ids[prompt.shape[1] :])!s:.80}, and the library did not"
        return _unlike(record, found, tolerance)


def _rank(record: GenerationRecord, ids: tuple[int, ...]) -> int:
    """Return the first returned beam that goes on from these ids; close decisions fall towards it."""
    beams = [(*record.prefix, *beam.ids) for beam in record.beams]
    return next((number for number, beam in enumerate(beams) if beam[: len(ids)] == ids), len(beams))


def _unlike(record: GenerationRecord, outcome: Beams, tolerance: float) -> str | None:
    """Return how the returned beams differ from what the reference returns, or None."""
    start = len(record.prefix)
    for number, (beam, ids, score) in enumerate(
        zip(record.beams, outcome.ids.tolist(), outcome.scores, strict=False), 1
    ):
        expected = tuple(token for token in ids[start:] if token != _PAD)
        other = first_divergence(expected, beam.ids)
        if not np.isfinite(score):
            continue  # there are not as many beams: anything may stand in for one
        if other is not None:
            wanted = expected[other] if other < len(expected) else "the end"
            return f"beam {number} has {wanted} at token {other + 1}, and a score of {score:.6g}, not {beam.score:.6g}"
        if abs(score - beam.score) > tolerance * max(1.0, abs(score)):
            return f"beam {number} has a score of {score:.6g}, not {beam.score:.6g}"
    return None


class _Scores:
    """The scores that the library chose from; what it did not look at is asked of the model, a few times."""

    def __init__(self, captured: StepScores, passes: Passes | None, observed: GenerationRecord) -> None:
        self._captured, self._passes, self._observed = captured, passes, observed

    def __call__(self, ids: IntArray, mask: IntArray) -> NDArray[Any]:
        del mask  # one prompt, nothing padded
        rows = [tuple(row) for row in ids.tolist()]
        missing = sorted({row for row in rows if row not in self._captured})
        if missing:
            self._ask(missing)
        return np.stack([self._captured[row] for row in rows])

    def _ask(self, missing: list[tuple[int, ...]]) -> None:
        if self._passes is None:
            raise _NotCapturedError(missing[0])
        observed, passes = self._observed, self._passes
        outputs = [row[len(observed.prefix) :] for row in missing]
        encoder = passes.origin.loaded.has_encoder
        given = inputs([observed.prompt.ids], observed.start, outputs, media_of(observed), encoder=encoder)
        try:
            logits = passes.forward(given.ids, None, given.mask, given.decoder, given.media, given.last).logits[:, -1]
        except OutOfPassesError:
            raise _NotCapturedError(missing[0]) from None
        self._captured.update(zip(missing, log_softmax(logits) if self._observed.beams else logits, strict=True))


def _judged(sides: _Sides) -> SearchFinding:
    """Say whose output the reference gives: the rules of the installed release, or of the one that recorded."""
    before, here = (_bearing(rules_of(record), sides.settings) for record in (sides.recorded, sides.observed))
    of_observed = sides.objection(sides.observed, here)
    if of_observed is not None:
        return _not_by_the_rules(sides, of_observed, sides.objection(sides.recorded, here))
    by_another_rule = before != here and sides.objection(sides.recorded, here, close=False) is not None
    if by_another_rule and sides.objection(sides.recorded, before, close=False) is None:
        return _another_rule(sides, before, here)
    of_recorded = sides.objection(sides.recorded, here)
    if of_recorded is None and _same_choices(sides):
        said = "the search picks the same tokens; only the model's numbers moved"
        return SearchFinding(None, said, alike=True)
    if of_recorded is None:
        close = f"the reference can give either output: deciding scores are closer than {2 * sides.floor:.2g}"
        said = "the same search can give either: a decision is too close to call"
        return SearchFinding(None, said, (Evidence(close),), tie=True)
    if before != here and sides.objection(sides.recorded, before) is None:
        return _another_rule(sides, before, here)
    said = "the search follows its release's rules, and those of the recording release do not give the recorded output"
    return SearchFinding(None, said, (Evidence(f"against the recorded output: {of_recorded:.200}"),))


def _same_choices(sides: _Sides) -> bool:
    return len({(one.ids, *(beam.ids for beam in one.beams)) for one in (sides.recorded, sides.observed)}) == 1


def _another_rule(sides: _Sides, before: Rules, here: Rules) -> SearchFinding:
    then, now = release_of(sides.recorded), release_of(sides.observed)
    rules = _deciding(sides, before, here)
    without = "not yet" if Version(then) < Version(now) else "no longer"
    words = (
        f"in {then} {RULES[one][0]}" if getattr(before, one) else f"in {then} {without}: {RULES[one][0]}"
        for one in rules
    )
    evidence = (
        Evidence(f"decoding today's scores with the rules of {then} gives the recorded output"),
        Evidence(f"decoding them with the rules of {now} gives today's output"),
    )
    return SearchFinding(
        "search", f"the search of {now} follows a different rule: {'; '.join(words)}", evidence, rules=tuple(rules)
    )


def _bearing(rules: Rules, settings: Settings) -> Rules:
    """Return the rules, with those reset that cannot matter for one unpadded prompt and these settings."""
    on = {name for name, value in settings.given.items() if value} | ({"eos"} if len(settings.eos) > 1 else set())
    bearing = [rule for rule, (_, needs) in RULES.items() if not needs or not on.isdisjoint(needs)]
    return replace(Rules(), **{name: getattr(rules, name) for name in bearing})


def _not_by_the_rules(sides: _Sides, of_observed: str, of_recorded: str | None) -> SearchFinding:
    engine = sides.observed.provenance.engine
    if engine != "torch" and sides.recorded.provenance.engine == "torch":
        evidence = Evidence(f"on {engine}'s scores the reference says: {of_observed:.200}")
        return SearchFinding("search", f"{engine}'s search is not torch's, which recorded the output", (evidence,))
    what = "gives the recorded output" if of_recorded is None else "gives a different one"
    rules = f"the library does not follow the rules of {release_of(sides.observed)}"
    evidence = Evidence(f"against today's output: {of_observed:.200}")
    return SearchFinding("search", f"{rules}: the reference, on the same scores, {what}", (evidence,))


def _deciding(sides: _Sides, before: Rules, here: Rules) -> list[str]:
    """Return the rules without which the recorded output would be another."""
    differ = [one.name for one in fields(Rules) if getattr(before, one.name) != getattr(here, one.name)]
    needed = [
        name
        for name in differ
        if sides.objection(sides.recorded, replace(before, **{name: getattr(here, name)}), close=False) is not None
    ]
    return needed or differ


def _of_the_test(observed: GenerationRecord, settings: Settings, floor: float) -> StepScores:
    """Return the scores of a greedy search as far as the test itself has seen them, to spare another `generate`.

    The test has seen every step's logits without a cache. They are returned if the reference's logits processors turn
    them into the scores that the search used; otherwise nothing is.
    """
    live = observed.live
    if live is None or not len(live.logits):
        return {}
    captured: StepScores = {}
    for position, (computed, scores) in enumerate(zip(live.logits, live.scores, strict=True)):
        logits = computed.astype(np.float64)
        ids = (*observed.prefix, *observed.ids[:position])
        made = _processed(logits, ids, settings, observed, rules_of(observed))
        if not np.allclose(log_softmax(made), log_softmax(scores), rtol=0, atol=2 * floor):
            return {}
        captured[ids] = logits
    return captured


def _processed(
    logits: NDArray[Any], ids: tuple[int, ...], settings: Settings, record: GenerationRecord, rules: Rules
) -> NDArray[Any]:
    """Return what the reference's logits processors make of the logits (V,) after `ids`."""
    rows = np.asarray([ids], np.int64)
    base = log_softmax(logits) if record.beams else logits
    found: NDArray[Any] = process(base[None], rows, np.ones_like(rows), settings, len(record.prefix), rules)[0]
    return found


def _while_generating(captured: StepScores, recorded: GenerationRecord, teacher: TeacherForcedPass) -> float:
    """Return how far the scores while generating are from those of one pass without a cache, over what both have."""
    moved = 0.0
    table = log_softmax(teacher.logits)
    for position in range(len(recorded.ids)):
        own = captured.get((*recorded.prefix, *recorded.ids[:position]))
        if own is None:
            break
        best = np.argsort(table[position])[-20:]  # of the likely tokens: the others carry larger sums
        diff = np.abs(log_softmax(own)[best] - table[position][best])
        moved = max(moved, float(np.nan_to_num(diff, nan=np.inf).max()))
    return moved


def _cache(moved: float, floor: float) -> SearchFinding:
    said = "with its cache the model gives different scores than in one pass without it"
    told = f"with the cache, log-probabilities move by up to {moved:.2g} (noise floor {floor:.2g}); "
    evidence = Evidence(f"{told}those without it are as recorded", {"drift": moved, "noise_floor": floor})
    return SearchFinding("forward", said, (evidence,))


def _processors(
    case: Case[GenerationRecord], teacher: TeacherForcedPass, settings: Settings, floor: float, found: SearchFinding
) -> SearchFinding:
    """Explain scores that moved while generating although the model's own did not, by the logits processors."""
    for record in (case.observed, case.recorded):
        moved = max(_processed_diffs(case.recorded, teacher, settings, rules_of(record)), default=0.0)
        if moved <= 2 * floor:
            said = "the logits processors work differently than at recording; the reference, with the rules of "
            far = f"it differs from the recorded processed scores by at most {moved:.2g}"
            sentence = f"{said}{release_of(record)}, gives the recorded scores"
            return SearchFinding("search", sentence, (Evidence(far, {"drift": moved}),))
    if not found.alike:
        return found
    said = "the scores that the search chose from moved, and no release's logits processors account for it"
    return replace(found, sentence=said)


def _processed_diffs(
    recorded: GenerationRecord, teacher: TeacherForcedPass, settings: Settings, rules: Rules
) -> list[float]:
    """Return how far each recorded token's processed score is from what the reference makes of today's numbers."""
    found = []
    for position, step in enumerate(recorded.steps):
        ids = (*recorded.prefix, *recorded.ids[:position])
        scores = _processed(teacher.logits[position].astype(np.float64), ids, settings, recorded, rules)
        found.append(float(abs(log_softmax(scores)[step.id] - step.processed)))
    return found
