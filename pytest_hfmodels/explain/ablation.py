"""Loads the model again with one recorded setting at a time. If that reproduces the recorded numbers, it is the cause.

Every ablation has a control, which loads the checkpoint again and changes nothing. If the control reproduces the
recorded numbers, the model in memory was changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_hfmodels.explain import mutations
from pytest_hfmodels.explain.case import overrides, release_of, rules_of
from pytest_hfmodels.kinds.explanation import Ablation, Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds import Block, Record
    from pytest_hfmodels.kinds.explanation import Explanation

ALIKE = 1e-8  # nats; a snapshot keeps nine digits
_SETTLES = 4  # an ablation that explains a movement leaves less than a quarter of it
_ROUNDING = 10  # noise floors: how far two correct computations on different machines may differ
_WORTH_SAYING = 0.05  # the smallest share of a movement that the first sentence mentions
OTHER_KERNEL = {"eager": "sdpa", "sdpa": "eager"}
_USUAL_SCALING = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}  # of GPT-2


@dataclass(frozen=True)
class Measured:
    """What one run of the model over the recorded input gives.

    Args:
        moved: the largest difference from the recorded numbers.
        blocks: fingerprints, comparable with the recorded ones.
    """

    moved: float
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Load(Measured):
    """The model loaded in another way, what it gives, and whether that reproduces the recorded numbers."""

    model: Any = None
    returns: bool = False


@dataclass(frozen=True)
class Trial:
    """One way to load the model, and the explanation if it reproduces the recorded numbers.

    Args:
        what: the recorded setting and the one that it replaces.
        changes: for `LiveModel.again`.
        cause: the cause that it proves.
        sentence: the same in words.
        floor: the noise floor of this load, if it differs from the movement's.
        rules: names in `reference.Rules`.
        keeps: the recorded setting that later loads keep if this one explains only a part: `dtype` or `attention`.
    """

    what: str
    changes: dict[str, Any]
    cause: str
    sentence: str
    floor: float | None = None
    rules: tuple[str, ...] = ()
    keeps: str = ""


class DriftProbe:
    """Numbers that have moved, and everything found out about them so far.

    Args:
        case: both records; its model must be in memory.
        before: the largest movement in the test's own run.
        measure: runs the model, or another load of it, over the recorded input.
    """

    def __init__(self, case: Case[Any], before: float, measure: Callable[[LoadedModel | None], Measured]) -> None:
        assert case.passes is not None
        self.case, self.before, self.measure = case, before, measure
        self.origin = case.passes.origin
        self.ablations: list[Ablation] = []
        self.evidence: list[Evidence] = []
        self.base: Load | None = None  # the load with all recorded settings that explain a part of the movement
        self.shares: dict[str, float] = {}  # the share that each of these settings explains: `dtype`, `attention`
        self._has_control = False
        self._exact: Load | None = None  # the load in float64
        self._afresh = 0.0  # the share that the control explains, if that is most of the movement

    def attempt(self, what: str, load: Callable[[], LoadedModel | None], floor: float | None = None) -> Load | None:
        """Load the model in another way and measure; None if that fails.

        Args:
            what: the recorded setting and the one that it replaces, for sentences.
            load: loads the model; returns None if it cannot be loaded a second time.
            floor: the noise floor of this load, if it differs from the movement's.
        """
        try:
            model = load()
            if model is None:
                self.evidence.append(Evidence(f"{what} was not tried: the model cannot be loaded a second time"))
                return None
            seen = self.measure(model)
        except Exception as error:  # a release without that attention, a model that cannot be widened
            self.evidence.append(Evidence(f"{what} could not be tried: {_first_line(error)}"))
            return None
        returns = seen.moved <= max(ALIKE, min(floor or self.case.floor, self.before / _SETTLES))
        self.ablations.append(Ablation(what, self.before, seen.moved, returns))
        return Load(seen.moved, seen.blocks, model, returns)

    def first_proven(self, trials: Iterable[Trial]) -> Explanation | None:
        """Try one load after the other; return the explanation of the first that reproduces the recorded numbers."""
        return next(filter(None, map(self._proven, trials)), None)

    def _proven(self, trial: Trial) -> Explanation | None:
        """Try one load; a model that later steps do not need is free before the next one is loaded."""
        load = self.attempt(trial.what, partial(self.origin.again, **trial.changes), trial.floor)
        if load is not None and load.returns:
            return self.case.because(trial.cause, trial.sentence, rules=trial.rules)
        if trial.cause == "backend":
            self._exact = load
        if load is not None and trial.keeps:
            self.shares[trial.keeps] = _share(self._rest() - load.moved, self.before)
            self.base = load
        return None

    def ablate(self, *, surroundings: bool = True) -> Explanation | None:
        """Load the model with the recorded dtype, attention and precision, in turn; return the cause, or None.

        Without `surroundings` only the control and the recorded overrides are tried.
        """
        other_engine = self.case.then.engine != self.case.now.engine
        if self.before <= ALIKE:  # no load can come closer, so a load proves nothing
            return self._engine() if other_engine else self._machine()
        proven = self.changed_by_the_test()
        if proven is not None or not surroundings:
            return proven
        if other_engine:
            return self._engine()
        if self.case.now.engine != "torch" or not self._has_control:  # one dtype and one attention only, or no control
            return self._machine()
        proven = self.first_proven(self._trials()) or self._machine()
        if proven is None or not self._afresh:
            return proven
        changed, share = mutations.sentence(mutations.of_the_model(self.origin)), _percent(self._afresh)
        said = f"{changed}; that explains {share} of the movement. The rest: {proven.sentence}"
        return self.case.because("test", said)

    def changed_by_the_test(self) -> Explanation | None:
        """Blame what the test did to the model, in memory or at load, if undoing it reproduces the numbers."""
        return self.control() or self._with_recorded_overrides()

    def control(self) -> Explanation | None:
        """Load the checkpoint again without a change. If that reproduces the numbers, the model was changed."""
        changes = mutations.of_the_model(self.origin)
        what = "the checkpoint loaded again instead of the model in memory"
        fresh = self.attempt(what, self.origin.again)
        self._has_control = fresh is not None
        if fresh is not None and fresh.returns:
            self.origin.distrust()
            return self.case.because("test", mutations.sentence(changes))
        if fresh is not None and fresh.moved <= self.before / _SETTLES:
            self._afresh, self.base = _share(self.before - fresh.moved, self.before), fresh
        if not changes:
            if fresh is not None and abs(fresh.moved - self.before) <= max(ALIKE, self.case.floor):
                self.ablations.pop()
                self.evidence.append(Evidence("loading the checkpoint again gives the same numbers as this test"))
            return None
        said = mutations.as_evidence(changes)
        self.evidence.insert(0, said)
        if fresh is not None:
            return self._written(fresh)  # or the change was there when recording, or is not the only reason
        if not self.case.changed_packages():
            return self.case.because("test", mutations.sentence(changes))
        return self.case.because(None, f"{said.what}; either this or a new package version is the reason")

    def not_separated(self) -> Explanation | None:
        """Return that no cause is known, if a dtype or attention differs and no load could try the recorded one."""
        if self.case.then.engine != self.case.now.engine:
            return None
        untried = [name for name in ("dtype", "attention") if self._differs(name) and name not in self.shares]
        if not untried:
            return None
        then, now = vars(self.case.then), vars(self.case.now)
        loaded = ", ".join(f"{name} {now[name]} (recorded: {then[name]})" for name in untried)
        said = f"loaded with {loaded}; the recorded {' and '.join(untried)} could not be tried, so the cause is unknown"
        return self.case.because(None, said)

    def doubt(self) -> str | None:
        """Return why a forward pass that differs need not be the library's; None if no doubt is known."""
        if self.case.then.engine != self.case.now.engine:
            return (
                f"the snapshot was recorded with {self.case.then.engine}, which was not run, so the reason is unknown"
            )
        if mutations.of_the_model(self.origin):
            return "the model in memory has changed since it was loaded, so the library may not be the reason"
        if not self._has_control:
            return "the model could not be loaded again, so the library may not be the reason"
        return None

    def shares_sentence(self, least: float = 0.0) -> str | None:
        """Return which share of the movement each kept setting explains; None if no share reaches `least`."""
        shares = {"loading the checkpoint again": self._afresh} if self._afresh else {}
        shares |= {self._recorded(name): share for name, share in self.shares.items()}
        said = [
            f"{what} explains {_percent(share)} of the movement" for what, share in shares.items() if share >= least
        ]
        return f"{' and '.join(said)}; the rest remains" if said else None

    def rest_sentence(self, sentence: str) -> str:
        """Return a sentence about the unexplained rest, after the shares that are explained."""
        shares = self.shares_sentence(_WORTH_SAYING)
        return sentence if shares is None else f"{shares}: {sentence}"

    def outcomes(self) -> Iterator[Evidence]:
        """Yield what each ablation did to the movement."""
        for ablation in self.ablations:
            sides = {"before": ablation.before, "after": ablation.after}
            before, after = (f"{math.nan if moved is None else moved:.2g}" for moved in sides.values())
            said = f"stays at {after}" if before == after else f"is {after} instead of {before}"
            yield Evidence(f"with {ablation.what} the movement {said}", sides)

    def _differs(self, setting: str) -> bool:
        return bool(getattr(self.case.then, setting) != getattr(self.case.now, setting))

    def _recorded(self, setting: str) -> str:
        """Return the recorded dtype or attention for a sentence."""
        value = getattr(self.case.then, setting)
        return f"{value} attention" if setting == "attention" else str(value)

    def _rest(self) -> float:
        """Return the movement that the kept settings do not explain."""
        return self.before if self.base is None else self.base.moved

    def _with_recorded_overrides(self) -> Explanation | None:
        """Load the model with the recorded overrides of its configuration, then also with the dtype and attention.

        If neither reproduces the numbers, the cause is unknown. A file without overrides may be of an earlier version,
        which kept none, so it proves nothing.
        """
        names, then = self.case.changed_overrides(), self.case.then
        if not names:
            return None
        said, what = self.case.overrides_sentence(names), "the recorded overrides"
        ways: dict[str, dict[str, Any]] = {what: {}}
        if then.engine == self.case.now.engine and (self._differs("dtype") or self._differs("attention")):
            both = f"{what}, {then.dtype} and {then.attention} attention"
            ways[both] = {"dtype": then.dtype, "attention": then.attention}
        fields, floor = overrides(self.case.recorded), self.case.floor_then
        trials = []
        for way, more in ways.items():
            proof = f"{said}; loading with {way} reproduces the recorded numbers"
            trials.append(Trial(way, {"fields": fields, **more}, "test", proof, floor if more else None))
        proven = self.first_proven(trials)
        if proven is not None or not fields:
            return proven
        said += "; the recorded ones do not reproduce the recorded numbers, so something else has changed, too"
        return self.case.because(None, said)

    def _written(self, fresh: Load) -> Explanation | None:
        """Blame written weights, if the checkpoint's own in the model with its hooks reproduce the numbers."""
        if fresh.model.engine != "torch" or not self.origin.weights_written():
            return None
        what = "the checkpoint's weights in the model in memory"
        restored = self.attempt(what, lambda: mutations.with_weights_of(self.origin.loaded, fresh.model))
        if restored is not None and restored.returns:
            return self.case.because("test", mutations.sentence([mutations.WRITTEN]))
        said = "no load of the checkpoint reproduces the recorded numbers, so the cause is unknown"
        return self.case.because(None, f"{mutations.WRITTEN}; {said}")

    def _trials(self) -> Iterator[Trial]:
        """Yield the loads to try, in this order; what an earlier one explained decides about a later one."""
        then, now = self.case.then, self.case.now
        yield from self._scaling()
        if self._differs("dtype"):
            said = f"loaded in {now.dtype}, recorded in {then.dtype}; "
            said += f"loading in {then.dtype} reproduces the recorded numbers"
            what, floor = f"{then.dtype} instead of {now.dtype}", self.case.floor_then
            yield Trial(what, {"dtype": then.dtype}, "dtype", said, floor, keeps="dtype")
        attention = then.attention if self._differs("attention") else OTHER_KERNEL.get(now.attention)
        if attention is not None:
            yield self._of_attention(attention)
        if not self.shares and now.dtype != "float64" and self.before > self.case.floor:
            what = f"float64 instead of {now.dtype}"
            said = f"the arithmetic of this machine or of {now.engine}: {what} reproduces the recorded numbers"
            yield Trial(what, {"dtype": "float64"}, "backend", said)

    def _of_attention(self, attention: str) -> Trial:
        """Return the load with the recorded attention or, if that is in use already, with the other kernel."""
        then, now = self.case.then, self.case.now
        patched, keeps = "", "attention" if self._differs("attention") else ""
        if not keeps and not self.case.changed_packages():
            patched = "; no package changed version, so something in this run may replace it"
        if "dtype" in self.shares:
            share, words = self.shares["dtype"], f"{then.dtype} and {attention} attention"
            cause = "dtype" if share >= 0.5 else "attention"
            said = f"{words} together reproduce the recorded numbers: {then.dtype} explains {_percent(share)} of "
            said += f"the movement, {attention} attention the rest{patched if cause == 'attention' else ''}"
            what, changes = f"{words} instead of {now.dtype} and {now.attention}", {"dtype": then.dtype}
            return Trial(what, {**changes, "attention": attention}, cause, said, keeps=keeps)
        what = f"{attention} attention instead of {now.attention}"
        moved = f"recorded with {then.attention}, run with {now.attention}; " if keeps else ""
        said = f"the attention kernel: {moved}{what} reproduces the recorded numbers{patched}"
        return Trial(what, {"attention": attention}, "attention", said, keeps=keeps)

    def _scaling(self) -> Iterator[Trial]:
        """Yield a load if one side ignores GPT-2's scaling options, as sdpa does in some releases."""
        config = getattr(self.origin.loaded.model, "config", None)
        other = {name: value for name, value in _USUAL_SCALING.items() if getattr(config, name, value) is not value}
        ignored = [record for record in (self.case.recorded, self.case.observed) if _ignores_scaling(record)]
        if getattr(config, "model_type", None) != "gpt2" or not other or len(ignored) != 1:
            return
        words = " and ".join(f"{name}={not value}" for name, value in other.items())
        what, changes = f"the default instead of {words}", dict[str, Any](overrides=other)
        if ignored[0] is self.case.observed:
            what, changes = "eager attention instead of sdpa", {"attention": "eager"}
        said = f"sdpa in {release_of(ignored[0])} ignores {words} (4.42 to 5.3); {what} reproduces the recorded numbers"
        yield Trial(what, changes, "attention", said, rules=("sdpa_ignores_scaling",))

    def _engine(self) -> Explanation | None:
        then, now = self.case.then, self.case.now
        if self.before <= _ROUNDING * self.case.floor:
            said = f"recorded with {then.engine}, run with {now.engine}, whose arithmetic differs"
            return self.case.because("backend", said)
        return None

    def _machine(self) -> Explanation | None:
        """Blame another machine or engine release if the rest of the movement is as small as rounding."""
        changes = list(self.case.machine())
        if not changes or not self._rest() <= _ROUNDING * self.case.floor or self._is_no_rounding:
            return None
        said = f"rounding: the backend differs from the recorded one: {', '.join(changes)}"
        if not self.shares:
            return self.case.because("backend", said)
        return self.case.because(max(self.shares, key=self.shares.__getitem__), self.rest_sentence(said))

    @property
    def _is_no_rounding(self) -> bool:
        """Whether the movement is as large in float64, so that it is no rounding."""
        return self._exact is not None and self._exact.moved > max(2 * self.case.floor, 0.9 * self.before)


def _ignores_scaling(record: Record) -> bool:
    return record.provenance.attention == "sdpa" and rules_of(record).sdpa_ignores_scaling


def _share(part: float, whole: float) -> float:
    """Return a part of a movement as a fraction; either number may be zero or infinite."""
    return max(0.0, part / whole) if math.isfinite(part) and math.isfinite(whole) else float(part > 0)


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}"[:120] if lines else type(error).__name__
