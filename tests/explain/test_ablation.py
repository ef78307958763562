"""Loading the model again, with models made by hand; test_causes has whole ones."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from pytest_hfmodels.explain.ablation import DriftProbe, Measured
from pytest_hfmodels.explain.case import Case
from pytest_hfmodels.snapshots import Tolerance, compare

from ..example_records import generation, provenance

OTHER_DTYPE = generation(provenance=replace(provenance(dtype="float16"), attention="sdpa"))
DOUBLE = generation(provenance=provenance(dtype="float64"))


def probed(before: float, *loads: Any, recorded: Any = None, observed: Any = None, after: Any = 1.0) -> Any:
    """Return a movement whose model is loaded as these, one after the other; `asked` lists how."""
    left, asked = list(loads), []

    def again(**changes: str) -> Any:
        asked.append(changes)
        return left.pop(0) if left else None

    results = iter(after) if isinstance(after, list) else None
    loaded = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace()))
    origin = SimpleNamespace(again=again, altered=lambda **_: [], loaded=loaded, distrust=lambda: None)
    recorded, observed = recorded or generation(), observed or generation()
    passes: Any = SimpleNamespace(origin=origin)
    case: Any = Case(compare(recorded, observed, Tolerance(1e-4)), recorded, observed, {}, passes)
    probe: Any = DriftProbe(case, before, lambda _: Measured(after if results is None else next(results)))
    probe.asked = asked
    return probe


@pytest.mark.parametrize(
    ("before", "after", "returns"),
    [
        (1e-3, 1e-6, True),
        (1e-3, 1e-4, False),  # a tenth is left, and that is beyond the noise floor
        (1e-5, 9e-6, False),  # within the noise floor, and hardly less
        (1e-5, 2e-6, True),
        (1e-9, 9e-9, True),  # a snapshot keeps nine digits
        (1e-3, math.nan, False),
    ],
)
def test_an_ablation_counts_if_it_leaves_little_of_the_movement(before: float, after: float, returns: bool) -> None:
    probe = probed(before, object(), after=after)

    assert probe.attempt("this instead of that", object).returns is returns
    assert [(one.what, one.returns) for one in probe.ablations] == [("this instead of that", returns)]


def test_an_ablation_that_fails_is_evidence() -> None:
    def broken() -> Any:
        raise RuntimeError("no such kernel\nand more")

    probe = probed(1.0)

    assert probe.attempt("flash attention", broken) is None
    assert probe.attempt("float64", lambda: None) is None
    assert [one.what for one in probe.evidence] == [
        "flash attention could not be tried: RuntimeError: no such kernel",
        "float64 was not tried: the model cannot be loaded a second time",
    ]
    assert probe.ablations == []


@pytest.mark.parametrize(
    ("before", "recorded", "observed", "asked"),
    [
        (1.0, OTHER_DTYPE, None, [{}, {"dtype": "float16"}, {"dtype": "float16", "attention": "sdpa"}]),
        (1.0, None, None, [{}, {"attention": "sdpa"}, {"dtype": "float64"}]),
        (1e-6, None, None, [{}, {"attention": "sdpa"}]),  # within the noise floor the arithmetic is not tried
        (0.0, OTHER_DTYPE, None, []),  # nothing has moved
        (1.0, generation(engine="tensorflow"), generation(engine="tensorflow"), [{}]),
    ],
    ids=["recorded dtype and attention", "alike", "small", "nothing", "tensorflow"],
)
def test_which_loads_are_tried_in_which_order(before: float, recorded: Any, observed: Any, asked: list[Any]) -> None:
    probe = probed(before, 1, 2, 3, 4, recorded=recorded, observed=observed)

    assert probe.ablate() is None
    assert probe.asked == asked


def test_at_most_one_further_model_is_in_memory() -> None:
    loaded: list[ref[Any]] = []
    in_memory: list[int] = []
    probe = probed(1.0)

    def again(**_: str) -> Any:
        in_memory.append(sum(one() is not None for one in loaded))
        model: set[Any] = set()  # anything that can be referred to weakly
        loaded.append(ref(model))
        return model

    probe.origin.again = again

    assert probe.ablate() is None
    assert in_memory == [0, 0, 0]


def test_an_infinite_movement_has_shares() -> None:
    finite, endless = (probed(math.inf, 1, 2, 3, recorded=DOUBLE, after=after) for after in (1.0, math.inf))
    for probe in (finite, endless):
        probe.ablate()

    assert "loading the checkpoint again explains 100 % of the movement" in (finite.shares_sentence() or "")
    assert endless.shares_sentence() == "float64 explains 0 % of the movement; the rest remains"


def test_without_a_control_nothing_is_ablated() -> None:
    probe = probed(1.0, recorded=OTHER_DTYPE, after=0.0)

    assert (probe.ablate(), probe.asked, probe.ablations) == (None, [{}], [])
    assert "cannot be loaded a second time" in probe.evidence[0].what


def test_a_fresh_load_that_reproduces_the_numbers_blames_the_test_even_if_nothing_is_named() -> None:
    probe = probed(1.0, SimpleNamespace(model=object()), after=0.0)
    found = probe.ablate()

    assert found.cause == "test"
    assert "the plugin cannot find what" in found.sentence
    assert [one.returns for one in probe.ablations] == [True]


@pytest.mark.parametrize(("left", "known"), [(1e-4, True), (1e-3, False)])
def test_the_rest_of_a_movement_may_be_rounding(left: float, known: bool) -> None:
    recorded = generation(provenance=replace(provenance(dtype="float32"), cpu="AVX2"))
    observed = generation(provenance=provenance(dtype="float16"))
    probe = probed(1.0, 1, 2, 3, recorded=recorded, observed=observed, after=[1.0, left, left])

    found = probe.ablate()

    said = "float32 explains 100 % of the movement; the rest remains"
    assert probe.shares_sentence() == said
    assert (found is not None) is known
    if found is not None:
        rounding = "rounding: the backend differs from the recorded one: cpu AVX2 -> AVX512"
        assert (found.cause, found.sentence) == ("dtype", f"{said}: {rounding}")


@pytest.mark.parametrize(
    ("before", "release", "cause"), [(1.0, "4.57.6", None), (1e-4, "4.30", "backend"), (1.0, "4.30", None)]
)
def test_another_engine_computes_otherwise(before: float, release: str, cause: str | None) -> None:
    recorded = generation(provenance=replace(provenance(), versions={"transformers": release}))

    found = probed(before, recorded=recorded, observed=generation(engine="tensorflow")).ablate()

    assert (found and found.cause) == cause  # what is larger is not the engines' arithmetic


@pytest.mark.parametrize(("in_float64", "cause"), [(1e-4, None), (5e-5, "backend")])
def test_a_movement_that_stays_in_float64_is_no_rounding(in_float64: float, cause: str | None) -> None:
    recorded = generation(provenance=replace(provenance(), cpu="AVX2"))
    loads = [object(), object(), object()]  # the control, the other attention, float64

    probe = probed(1e-4, *loads, recorded=recorded, after=[1e-4, 1e-4, in_float64])
    found = probe.ablate()

    assert probe.asked[-1] == {"dtype": "float64"}
    assert (found and found.cause) == cause


@pytest.mark.parametrize(("before", "known"), [(1e-4, True), (1e-2, False)])
@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"cpu": "AVX2"}, "cpu AVX2 -> AVX512"),
        ({"device": "cuda"}, "device cuda -> cpu"),
        ({"versions": {"torch": "1.0"}}, "torch 1.0 -> 2.0.0"),
    ],
)
def test_another_machine_explains_what_is_as_small_as_rounding(
    before: float, known: bool, about: dict[str, Any], said: str
) -> None:
    found = probed(before, recorded=generation(provenance=replace(provenance(), **about))).ablate()

    assert (found is not None) is known
    if found is not None:
        assert (found.cause, found.sentence) == (
            "backend",
            f"rounding: the backend differs from the recorded one: {said}",
        )
