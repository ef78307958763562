"""Loads the model again with one recorded setting at a time. If that reproduces the recorded numbers, it is the cause.

Every ablation has a control, which loads the checkpoint again and changes nothing. If the control reproduces the
recorded numbers, the model in memory was changed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_hfmodels.explain import mutations
from pytest_hfmodels.explain.config_overrides import changed_overrides, overrides_sentence, recorded_overrides
from pytest_hfmodels.explain.forward_pass import machine
from pytest_hfmodels.kinds.explanation import Ablation, Evidence
from pytest_hfmodels.kinds.tolerance import noise_floor
from pytest_hfmodels.reference.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_hfmodels.engines import LoadedModel
    from pytest_hfmodels.explain.budget import Passes
    from pytest_hfmodels.kinds import Block, Provenance, Record
    from pytest_hfmodels.kinds.evidence import LiveModel

ALIKE = 1e-8  # nats; a snapshot keeps nine digits
_SETTLES = 4  # an ablation that explains a movement leaves less than a quarter of it
_ROUNDING = 10  # noise floors: how far two correct computations on different machines may differ
_WORTH_SAYING = 0.05  # the smallest share of a movement that the first sentence mentions
_LOADING = "loading the checkpoint again"
_AFRESH = "the checkpoint loaded again instead of the model in memory"


@dataclass(frozen=True)
class Measured:
    """The result of one load of the model on the recorded input.

    Args:
        moved: the largest difference from the recorded numbers.
        blocks: fingerprints, comparable with the recorded ones.
    """

    moved: float
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Load:
    """A loaded model and its result."""

    model: LoadedModel
    seen: Measured


@dataclass(frozen=True)
class AblationResult:
    """The result of the ablations: a cause (None if unknown), a sentence, and upstream's rules that explain it."""

    cause: str | None
    sentence: str
    rules: tuple[str, ...] = ()


@dataclass
class DriftProbe:
    """Numbers that have moved, and everything found out about them so far.

    Args:
        before: the largest movement in the test's own run.
        floor: the noise floor.
        measure: returns the result of another load of the model.
        ablations: the ablations that were tried, in order.
        evidence: further evidence.
        last: the last load; None if that load failed.
        base: the load with all recorded settings that explain a part of the movement.
        shares: each of these settings, and the share of the movement that it explains.
        afresh: the share that the control explains, if that is most of the movement.
        tried: the recorded settings that a load has tried: `dtype`, `attention`.
    """

    before: float
    floor: float
    measure: Callable[[LoadedModel], Measured]
    ablations: list[Ablation] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    last: Load | None = None
    base: Load | None = None
    shares: list[tuple[str, float]] = field(default_factory=list)
    afresh: float = 0.0
    tried: set[str] = field(default_factory=set)

    def reproduced_by(self, what: str, load: Callable[[], LoadedModel | None], floor: float | None = None) -> bool:
        """Load the model in another way, and return whether it reproduces the recorded numbers.

        Args:
            what: the recorded setting and the one that it replaces, for sentences.
            load: loads the model; returns None if it cannot be loaded a second time.
            floor: the noise floor of this load, if it differs from the movement's.
        """
        self.last = None
        try:
            other = load()
            if other is None:
                self.evidence.append(Evidence(f"{what} was not tried: the model cannot be loaded a second time"))
                return False
            seen = self.measure(other)
        except Exception as error:  # a release without that attention, a model that cannot be widened
            self.evidence.append(Evidence(f"{what} could not be tried: {_first_line(error)}"))
            return False
        self.last = Load(other, seen)
        returns = seen.moved <= max(ALIKE, min(floor or self.floor, self.before / _SETTLES))
        self.ablations.append(Ablation(what, self.before, seen.moved, returns))
        return returns

    def keep(self, what: str) -> None:
        """Keep the setting of the last load, so that later loads are compared with it."""
        if self.last is not None:
            self.shares.append((what, _share(self.rest - self.last.seen.moved, self.before)))
            self.base = self.last

    @property
    def rest(self) -> float:
        """The movement that the kept settings do not explain."""
        return self.before if self.base is None else self.base.seen.moved

    def shares_sentence(self, least: float = 0.0) -> str | None:
        """Return which share of the movement each kept setting explains; None if no share reaches `least`."""
        shares = [*([(_LOADING, self.afresh)] if self.afresh else []), *self.shares]
        told = [f"{what} explains {_percent(share)} of the movement" for what, share in shares if share >= least]
        return f"{' and '.join(told)}; the rest remains" if told else None

    def forward(self, sentence: str) -> str:
        """Return a sentence about the unexplained rest, after the shares that are explained."""
        shares = self.shares_sentence(_WORTH_SAYING)
        return sentence if shares is None else f"{shares}: {sentence}"


def ablate(
    found: DriftProbe, recorded: Record, observed: Record, passes: Passes, *, surroundings: bool = True
) -> AblationResult | None:
    """Load the model with the recorded dtype, attention and precision, in turn; return the cause, or None.

    Args:
        found: the movement; evidence is added to it.
        recorded: from the snapshot.
        observed: from the test.
        passes: the model.
        surroundings: whether to try more than the control.
    """
    then, now, again = recorded.provenance, observed.provenance, passes.origin.again
    if found.before <= ALIKE:  # no load can come closer, so a load proves nothing
        return _engine(found, recorded, observed) if then.engine != now.engine else _machine(found, recorded, observed)
    proven = changed_by_the_test(found, recorded, observed, passes.origin)
    if proven is not None or not surroundings:
        return proven
    if then.engine != now.engine:
        return _engine(found, recorded, observed)
    if now.engine != "torch" or found.last is None:  # one dtype and one attention only, or no control
        return _machine(found, recorded, observed)
    afresh = found.last
    proven = (
        _scaling(found, recorded, observed, passes)
        or _as_recorded(found, then, now, again)
        or _arithmetic(found, now, again)
        or _machine(found, recorded, observed)
    )
    if proven is not None and proven.cause == "attention" and _may_be_replaced(recorded, observed, proven):
        patched = "; no package changed version, so something in this run may replace it"
        proven = replace(proven, sentence=f"{proven.sentence}{patched}")
    if proven is None or not found.afresh:
        return proven
    said = f"{_in_memory(passes.origin, afresh)}; that explains {_percent(found.afresh)} of the movement. The rest: "
    return AblationResult("test", f"{said}{proven.sentence}")


def _may_be_replaced(recorded: Record, observed: Record, proven: AblationResult) -> bool:
    """Return whether the kernel and all package versions are as recorded, so that a test or a plugin may patch it."""
    same = recorded.provenance.attention == observed.provenance.attention
    return same and not proven.rules and mutations.stands_alone(recorded, observed)


def control(found: DriftProbe, recorded: Record, observed: Record, origin: LiveModel) -> AblationResult | None:
    """Load the checkpoint again without a change. If that reproduces the numbers, the model in memory was changed."""
    changes = mutations.of_the_model(origin)
    if found.reproduced_by(_AFRESH, origin.again):
        assert found.last is not None
        origin.distrust()
        return AblationResult("test", _in_memory(origin, found.last))
    if found.last is not None and found.last.seen.moved <= found.before / _SETTLES:
        found.afresh, found.base = _share(found.before - found.last.seen.moved, found.before), found.last
    if not changes:
        if found.last is not None and abs(found.last.seen.moved - found.before) <= max(ALIKE, found.floor):
            found.ablations.pop()
            found.evidence.append(Evidence("loading the checkpoint again gives the same numbers as this test"))
        return None
    said = mutations.as_evidence(changes)
    found.evidence.insert(0, said)
    if found.last is not None:
        return _written(found, origin, found.last)  # or the change was there when recording, or is not the only reason
    if mutations.stands_alone(recorded, observed):
        return AblationResult("test", mutations.sentence(changes))
    return AblationResult(None, f"{said.what}; either this or a new package version is the reason")


def changed_by_the_test(
    found: DriftProbe, recorded: Record, observed: Record, origin: LiveModel
) -> AblationResult | None:
    """Blame what the test did to the model, in memory or at load, if undoing it reproduces the recorded numbers."""
    return control(found, recorded, observed, origin) or _with_recorded_overrides(found, recorded, observed, origin)


def _with_recorded_overrides(
    found: DriftProbe, recorded: Record, observed: Record, origin: LiveModel
) -> AblationResult | None:
    """Load the model with the recorded overrides of its configuration, then also in the recorded dtype and attention.

    If neither reproduces the numbers, the cause is unknown. A file without overrides may be of an earlier version,
    which kept none, so it proves nothing.
    """
    names, afresh = changed_overrides(recorded, observed), found.last
    then, now = recorded.provenance, observed.provenance
    if not names or then.engine != now.engine:
        return None
    fields, floor = recorded_overrides(recorded), noise_floor(then.dtype, same_engine=True)
    said, what = overrides_sentence(recorded, observed, names), "the recorded overrides"
    if found.reproduced_by(what, lambda: origin.again(fields=fields)):
        return AblationResult("test", f"{said}; loading with {what} reproduces the recorded numbers")
    if then.dtype != now.dtype or then.attention != now.attention:
        what = f"{what}, {then.dtype} and {then.attention} attention"
        load = {"fields": fields, "dtype": then.dtype, "attention": then.attention}
        if found.reproduced_by(what, lambda: origin.again(**load), floor):
            return AblationResult("test", f"{said}; loading with {what} reproduces the recorded numbers")
    found.last = afresh
    if not recorded.checkpoint.overrides:
        return None
    return AblationResult(None, f"{said}; the recorded ones do not reproduce the recorded numbers, so more has changed")


def _written(found: DriftProbe, origin: LiveModel, fresh: Load) -> AblationResult | None:
    """Blame weights that were written, if the checkpoint's own in the model with its hooks reproduce the numbers."""
    if fresh.model.engine != "torch" or not origin.weights_written():
        return None
    what = "the checkpoint's weights in the model in memory"
    proven = found.reproduced_by(what, lambda: mutations.with_weights_of(origin.loaded, fresh.model))
    found.last = fresh
    if proven:
        return AblationResult("test", mutations.sentence([mutations.WRITTEN]))
    said = f"{mutations.WRITTEN}; no load of the checkpoint reproduces the recorded numbers, so the cause is unknown"
    return AblationResult(None, said)


def _in_memory(origin: LiveModel, afresh: Load) -> str:
    """Return the sentence that names what differs from the checkpoint."""
    named = mutations.of_the_model(origin) or mutations.differences(origin.loaded.model, afresh.model.model)
    return mutations.sentence(named) if named else mutations.NOT_NAMED


def _as_recorded(
    found: DriftProbe, then: Provenance, now: Provenance, again: Callable[..., LoadedModel | None]
) -> AblationResult | None:
    """Load the model in the recorded dtype, then also with the recorded attention; keep what explains a part."""
    kept: dict[str, str] = {}
    if then.dtype != now.dtype:
        own = noise_floor(then.dtype, same_engine=True)
        if found.reproduced_by(f"{then.dtype} instead of {now.dtype}", lambda: again(dtype=then.dtype), own):
            came_back = f"loading in {then.dtype} reproduces the recorded numbers"
            said = f"loaded in {now.dtype}, recorded in {then.dtype}; {came_back}"
            return AblationResult("dtype", said)
        if found.last is not None:
            found.tried.add("dtype")
            found.keep(then.dtype)
            kept = {"dtype": then.dtype}
    for attention in _attentions(then.attention, now.attention):
        words = f"{attention} attention"
        what = f"{then.dtype} and {words} instead of {now.dtype} and {now.attention}" if kept else ""
        what = what or f"{words} instead of {now.attention}"
        if found.reproduced_by(what, lambda attention=attention: again(**kept, attention=attention)):  # type: ignore[misc]
            return _of_both(found, words) if kept else _of_the_kernel(then, now, what)
        if then.attention != now.attention and found.last is not None:
            found.tried.add("attention")
            found.keep(words)
    return None


def not_separated(found: DriftProbe, recorded: Record, observed: Record) -> AblationResult | None:
    """Return that no cause is known, because a dtype or attention differs and no load could try the recorded one."""
    then, now = recorded.provenance, observed.provenance
    if then.engine != now.engine:
        return None
    sides = {"dtype": (then.dtype, now.dtype), "attention": (then.attention, now.attention)}
    untried = [name for name, (before, after) in sides.items() if before != after and name not in found.tried]
    if not untried:
        return None
    loaded = ", ".join(f"{name} {sides[name][1]} (recorded: {sides[name][0]})" for name in untried)
    said = f"loaded with {loaded}; the recorded {' and '.join(untried)} could not be tried, so the cause is unknown"
    return AblationResult(None, said)


def _of_the_kernel(then: Provenance, now: Provenance, what: str) -> AblationResult:
    moved = "" if then.attention != now.attention else f"recorded with {then.attention}, run with {now.attention}; "
    return AblationResult("attention", f"the attention kernel: {moved}{what} reproduces the recorded numbers")


def _of_both(found: DriftProbe, attention: str) -> AblationResult:
    dtype, share = found.shares[-1]
    return AblationResult(
        "dtype" if share >= 0.5 else "attention",
        f"{dtype} and {attention} together reproduce the recorded numbers: {dtype} explains {_percent(share)} of the "
        f"movement, {attention} the rest",
    )


def _arithmetic(found: DriftProbe, now: Provenance, again: Callable[..., LoadedModel | None]) -> AblationResult | None:
    if found.shares or now.dtype == "float64" or not found.before > found.floor:
        return None
    what = f"float64 instead of {now.dtype}"
    if not found.reproduced_by(what, lambda: again(dtype="float64")):
        return None
    said = f"the arithmetic of this machine or of {now.engine}: {what} reproduces the recorded numbers"
    return AblationResult("backend", said)


def _scaling(found: DriftProbe, recorded: Record, observed: Record, passes: Passes) -> AblationResult | None:
    """Check whether one side ignores GPT-2's scaling options, as sdpa does in some releases."""
    config, again = passes.origin.loaded.model.config, passes.origin.again
    usual = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
    set_otherwise = {name: value for name, value in usual.items() if getattr(config, name, value) is not value}
    ignored = [_ignores_scaling(recorded), _ignores_scaling(observed)]
    if getattr(config, "model_type", None) != "gpt2" or not set_otherwise or ignored[0] == ignored[1]:
        return None
    words = " and ".join(f"{name}={not value}" for name, value in set_otherwise.items())
    release = (recorded if ignored[0] else observed).provenance.versions.get("transformers", "this release")
    what, changes = f"the default instead of {words}", {"overrides": set_otherwise}
    if ignored[1]:
        what, changes = "eager attention instead of sdpa", {"attention": "eager"}  # type: ignore[dict-item]
    if not found.reproduced_by(what, lambda: again(**changes)):
        return None
    said = f"sdpa in {release} ignores {words} (4.42 to 5.3); {what} reproduces the recorded numbers"
    return AblationResult("attention", said, ("sdpa_ignores_scaling",))


def _ignores_scaling(record: Record) -> bool:
    made = record.provenance
    return made.attention == "sdpa" and Rules.of(made.versions.get("transformers", "5.23")).sdpa_ignores_scaling


def _attentions(then: str, now: str) -> Iterator[str]:
    """Yield the attention to try: the recorded one, or if that is in use already, the other kernel."""
    if then != now:
        yield then
    elif now in ("eager", "sdpa"):
        yield "sdpa" if now == "eager" else "eager"


def _engine(found: DriftProbe, recorded: Record, observed: Record) -> AblationResult | None:
    then, now = recorded.provenance, observed.provenance
    same_release = then.versions.get("transformers") == now.versions.get("transformers")
    if found.before <= _ROUNDING * found.floor or same_release:
        return AblationResult(
            "backend", f"recorded with {then.engine}, run with {now.engine}, whose arithmetic differs"
        )
    return None


def _machine(found: DriftProbe, recorded: Record, observed: Record) -> AblationResult | None:
    """Blame another machine or engine release if the rest of the movement is as small as rounding."""
    told = list(machine(recorded, observed))
    if not told or not found.rest <= _ROUNDING * found.floor:
        return None
    said = f"rounding: the backend differs from the recorded one: {', '.join(told)}"
    if not found.shares:
        return AblationResult("backend", said)
    most, _ = max(found.shares, key=lambda one: one[1])
    return AblationResult("attention" if most.endswith("attention") else "dtype", found.forward(said))


def _share(part: float, whole: float) -> float:
    """Return a part of a movement as a fraction; either number may be zero or infinite."""
    return max(0.0, part / whole) if math.isfinite(part) and math.isfinite(whole) else float(part > 0)


def _percent(share: float) -> str:
    return f"{round(100 * share)} %"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}"[:120] if lines else type(error).__name__
