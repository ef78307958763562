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
from pytest_hfmodels.kinds.tolerance import noise_floor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.case import Case
    from pytest_hfmodels.kinds import Block, Record
    from pytest_hfmodels.kinds.explanation import Explanation

ALIKE = 1e-8  # nats; a snapshot keeps nine digits
_SETTLES = 4  # an ablation that explains a movement leaves less than a quarter of it
_ROUNDING = 10  # noise floors: how far two correct computations on different machines may differ
_WORTH_SAYING = 0.05  # the smallest share of a movement that the first sentence mentions
_LOADING = "loading the checkpoint again"
_AFRESH = "the checkpoint loaded again instead of the model in memory"


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
        self.shares: list[tuple[str, float]] = []  # these settings, and the share that each explains
        self._control: Load | None = None
        self._afresh = 0.0  # the share that the control explains, if that is most of the movement
        self._tried: set[str] = set()  # the recorded settings that a load has tried: `dtype`, `attention`

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

    def returns_with(self, what: str, floor: float | None = None, **changes: Any) -> bool:
        """Return whether the model loaded with these changes reproduces the recorded numbers."""
        load = self.attempt(what, partial(self.origin.again, **changes), floor)
        return load is not None and load.returns

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
        if self.case.now.engine != "torch" or self._control is None:  # one dtype and one attention only, or no control
            return self._machine()
        proven = self._scaling() or self._as_recorded() or self._arithmetic() or self._machine()
        if proven is None or not self._afresh:
            return proven
        said = f"{self._in_memory(self._control)}; that explains {_percent(self._afresh)} of the movement. The rest: "
        return self.case.because("test", f"{said}{proven.sentence}")

    def changed_by_the_test(self) -> Explanation | None:
        """Blame what the test did to the model, in memory or at load, if undoing it reproduces the numbers."""
        return self.control() or self._with_recorded_overrides()

    def control(self) -> Explanation | None:
        """Load the checkpoint again without a change. If that reproduces the numbers, the model was changed."""
        changes = mutations.of_the_model(self.origin)
        fresh = self._control = self.attempt(_AFRESH, self.origin.again)
        if fresh is not None and fresh.returns:
            self.origin.distrust()
            return self.case.because("test", self._in_memory(fresh))
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
        then, now = self.case.then, self.case.now
        if then.engine != now.engine:
            return None
        sides = {"dtype": (then.dtype, now.dtype), "attention": (then.attention, now.attention)}
        untried = [name for name, (before, after) in sides.items() if before != after and name not in self._tried]
        if not untried:
            return None
        loaded = ", ".join(f"{name} {sides[name][1]} (recorded: {sides[name][0]})" for name in untried)
        said = f"loaded with {loaded}; the recorded {' and '.join(untried)} could not be tried, so the cause is unknown"
        return self.case.because(None, said)

    def shares_sentence(self, least: float = 0.0) -> str | None:
        """Return which share of the movement each kept setting explains; None if no share reaches `least`."""
        shares = [*([(_LOADING, self._afresh)] if self._afresh else []), *self.shares]
        parts = [f"{what} explains {_percent(share)} of the movement" for what, share in shares if share >= least]
        return f"{' and '.join(parts)}; the rest remains" if parts else None

    def rest_sentence(self, sentence: str) -> str:
        """Return a sentence about the unexplained rest, after the shares that are explained."""
        shares = self.shares_sentence(_WORTH_SAYING)
        return sentence if shares is None else f"{shares}: {sentence}"

    def outcomes(self) -> Iterator[Evidence]:
        """Yield what each ablation did to the movement."""
        for ablation in self.ablations:
            sides = (ablation.before, ablation.after)
            before, after = (f"{math.nan if moved is None else moved:.2g}" for moved in sides)
            said = (
                f"the movement stays at {after}" if before == after else f"the movement is {after} instead of {before}"
            )
            yield Evidence(f"with {ablation.what} {said}", {"before": ablation.before, "after": ablation.after})

    def _rest(self) -> float:
        """Return the movement that the kept settings do not explain."""
        return self.before if self.base is None else self.base.moved

    def _keep(self, what: str, load: Load) -> None:
        """Keep a setting, so that later loads are compared with this one."""
        self.shares.append((what, _share(self._rest() - load.moved, self.before)))
        self.base = load

    def _with_recorded_overrides(self) -> Explanation | None:
        """Load the model with the recorded overrides of its configuration, then also with the dtype and attention.

        If neither reproduces the numbers, the cause is unknown. A file without overrides may be of an earlier version,
        which kept none, so it proves nothing.
        """
        names, then, now = self.case.changed_overrides(), self.case.then, self.case.now
        if not names or then.engine != now.engine:
            return None
        said, what = self.case.overrides_sentence(names), "the recorded overrides"
        attempts: list[tuple[str, dict[str, Any]]] = [(what, {})]
        if then.dtype != now.dtype or then.attention != now.attention:
            both = {"dtype": then.dtype, "attention": then.attention}
            floor = noise_floor(then.dtype, same_engine=True)
            attempts.append((f"{what}, {then.dtype} and {then.attention} attention", {**both, "floor": floor}))
        for loaded, changes in attempts:
            if self.returns_with(loaded, fields=overrides(self.case.recorded), **changes):
                return self.case.because("test", f"{said}; loading with {loaded} reproduces the recorded numbers")
        if not self.case.recorded.checkpoint.overrides:
            return None
        more = "the recorded ones do not reproduce the recorded numbers, so more has changed"
        return self.case.because(None, f"{said}; {more}")

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

    def _in_memory(self, fresh: Load) -> str:
        """Return the sentence that names what differs from the checkpoint."""
        model = self.origin.loaded.model
        named = mutations.of_the_model(self.origin) or mutations.differences(model, fresh.model.model)
        return mutations.sentence(named) if named else mutations.NOT_NAMED

    def _as_recorded(self) -> Explanation | None:
        """Load the model in the recorded dtype, then also with the recorded attention; keep what explains a part."""
        then, now, dtype = self.case.then, self.case.now, dict[str, str]()
        if then.dtype != now.dtype:
            what, floor = f"{then.dtype} instead of {now.dtype}", noise_floor(then.dtype, same_engine=True)
            load = self.attempt(what, partial(self.origin.again, dtype=then.dtype), floor)
            if load is not None and load.returns:
                came_back = f"loading in {then.dtype} reproduces the recorded numbers"
                return self.case.because("dtype", f"loaded in {now.dtype}, recorded in {then.dtype}; {came_back}")
            if load is not None:
                self._tried.add("dtype")
                self._keep(then.dtype, load)
                dtype = {"dtype": then.dtype}
        return self._attention(dtype)

    def _attention(self, dtype: dict[str, str]) -> Explanation | None:
        """Load the model with the recorded attention or, if that is in use already, with the other kernel."""
        then, now = self.case.then, self.case.now
        attention = then.attention if then.attention != now.attention else _OTHER_KERNEL.get(now.attention)
        if attention is None:
            return None
        words = f"{attention} attention"
        what = f"{then.dtype} and {words} instead of {now.dtype} and {now.attention}" if dtype else ""
        what = what or f"{words} instead of {now.attention}"
        load = self.attempt(what, partial(self.origin.again, **dtype, attention=attention))
        if load is not None and load.returns:
            return self._of_both(words) if dtype else self._of_the_kernel(what)
        if load is not None and then.attention != now.attention:
            self._tried.add("attention")
            self._keep(words, load)
        return None

    def _of_the_kernel(self, what: str) -> Explanation:
        then, now = self.case.then, self.case.now
        moved = "" if then.attention != now.attention else f"recorded with {then.attention}, run with {now.attention}; "
        patched = "" if moved == "" else self._patched()
        said = f"the attention kernel: {moved}{what} reproduces the recorded numbers{patched}"
        return self.case.because("attention", said)

    def _patched(self) -> str:
        """Return that a test or a plugin may patch the kernel, if it and all package versions are as recorded."""
        if self.case.changed_packages():
            return ""
        return "; no package changed version, so something in this run may replace it"

    def _of_both(self, attention: str) -> Explanation:
        dtype, share = self.shares[-1]
        cause = "dtype" if share >= 0.5 else "attention"
        same = self.case.then.attention == self.case.now.attention
        return self.case.because(
            cause,
            f"{dtype} and {attention} together reproduce the recorded numbers: {dtype} explains {_percent(share)} of "
            f"the movement, {attention} the rest{self._patched() if same and cause == 'attention' else ''}",
        )

    def _arithmetic(self) -> Explanation | None:
        now = self.case.now
        if self.shares or now.dtype == "float64" or not self.before > self.case.floor:
            return None
        what = f"float64 instead of {now.dtype}"
        if not self.returns_with(what, dtype="float64"):
            return None
        said = f"the arithmetic of this machine or of {now.engine}: {what} reproduces the recorded numbers"
        return self.case.because("backend", said)

    def _scaling(self) -> Explanation | None:
        """Check whether one side ignores GPT-2's scaling options, as sdpa does in some releases."""
        config = self.origin.loaded.model.config
        usual = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
        other = {name: value for name, value in usual.items() if getattr(config, name, value) is not value}
        ignored = [record for record in (self.case.recorded, self.case.observed) if _ignores_scaling(record)]
        if getattr(config, "model_type", None) != "gpt2" or not other or len(ignored) != 1:
            return None
        words = " and ".join(f"{name}={not value}" for name, value in other.items())
        what, changes = f"the default instead of {words}", {"overrides": other}
        if ignored[0] is self.case.observed:
            what, changes = "eager attention instead of sdpa", {"attention": "eager"}  # type: ignore[dict-item]
        if not self.returns_with(what, **changes):  # type: ignore[arg-type]
            return None
        said = f"sdpa in {release_of(ignored[0])} ignores {words} (4.42 to 5.3); {what} reproduces the recorded numbers"
        return self.case.because("attention", said, rules=("sdpa_ignores_scaling",))

    def _engine(self) -> Explanation | None:
        then, now = self.case.then, self.case.now
        same_release = then.versions.get("transformers") == now.versions.get("transformers")
        if self.before <= _ROUNDING * self.case.floor or same_release:
            said = f"recorded with {then.engine}, run with {now.engine}, whose arithmetic differs"
            return self.case.because("backend", said)
        return None

    def _machine(self) -> Explanation | None:
        """Blame another machine or engine release if the rest of the movement is as small as rounding."""
        changes = list(self.case.machine())
        if not changes or not self._rest() <= _ROUNDING * self.case.floor:
            return None
        said = f"rounding: the backend differs from the recorded one: {', '.join(changes)}"
        if not self.shares:
            return self.case.because("backend", said)
        most, _ = max(self.shares, key=lambda one: one[1])
        cause = "attention" if most.endswith("attention") else "dtype"
        return self.case.because(cause, self.rest_sentence(said))


_OTHER_KERNEL = {"eager": "sdpa", "sdpa": "eager"}


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
